"""Several worker processes on one listening socket, and the parent that supervises them."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from callers_mcp.http.runtime.process import ServeConfig

logger = logging.getLogger(__name__)

# Before a dead worker is replaced: a worker that dies at once must not keep the machine busy.
_RESTART_DELAY_SECONDS = 1.0
_STARTUP_FAILURE = 3  # uvicorn's exit code; this package uses 2


def supervise(
    serve_config: ServeConfig, count: int, on_worker_exit: Callable[[int], None], listener: socket.socket
) -> int:
    """Keep ``count`` workers serving until a signal stops them, and return the exit code.

    Args:
        serve_config: The configuration of the workers.
        count: The number of workers.
        on_worker_exit: Called with the process id of each worker that has exited.
        listener: The socket that the workers share.
    """
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: signals.append(received))
    workers = [_start_worker(serve_config, listener) for _ in range(count)]
    replaced = set()
    failed = 0
    while not signals and not failed:
        wait([worker.sentinel for worker in workers], timeout=0.2)
        for index, worker in enumerate(workers):
            if worker.exitcode is None or signals:
                continue
            on_worker_exit(worker.pid or 0)
            if index not in replaced and worker.exitcode in (2, _STARTUP_FAILURE):
                failed = worker.exitcode  # a failed start would fail again; a later failure may be temporary
                break
            replaced.add(index)
            logger.error("worker %s exited with code %s; starting another one", worker.pid, worker.exitcode)
            time.sleep(_RESTART_DELAY_SECONDS)
            workers[index] = _start_worker(serve_config, listener)
    listener.close()
    notified = set()
    while any(worker.exitcode is None for worker in workers):
        for received in signals or [signal.SIGTERM]:
            for worker in workers:
                if worker.exitcode is None and (worker.pid, received) not in notified and worker.pid:
                    notified.add((worker.pid, received))
                    os.kill(worker.pid, received)
        wait([worker.sentinel for worker in workers if worker.exitcode is None], timeout=0.2)
    return failed or (130 if signal.SIGINT in signals else 0)


def _start_worker(serve_config: ServeConfig, listener: socket.socket) -> SpawnProcess:
    worker = multiprocessing.get_context("spawn").Process(
        target=_run_worker, args=(serve_config, listener), daemon=False
    )
    with _interrupts_blocked():
        worker.start()
    return worker


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start workers with SIGINT blocked, so that Ctrl-C reaches them only when they handle signals."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_worker(serve_config: ServeConfig, listener: socket.socket) -> None:
    """Serve as a worker until the parent sends a signal or exits."""
    from callers_mcp import logs
    from callers_mcp.api.errors import NotConfigured
    from callers_mcp.http.app import HostedServer
    from callers_mcp.http.auth.token_store import TokenFileError
    from callers_mcp.http.ops.audit import AuditError
    from callers_mcp.http.runtime.process import serve

    logs.configure(serve_config.settings)
    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    try:
        hosted = HostedServer(serve_config.settings, serve_config.hosting, instructions=serve_config.instructions)
    except (NotConfigured, TokenFileError, AuditError) as error:
        logger.error("a worker can't start: %s", error)
        sys.exit(2)
    sys.exit(serve(serve_config, hosted, listener))


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)
