"""Several processes behind one listening socket, and the parent that keeps them."""

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

from callers_mcp.http.runtime.process import Plan

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0  # before a worker that died is replaced: one that dies at once must not keep the machine busy
_STARTUP_FAILURE = 3  # uvicorn's exit code; 2 is ours


def supervise(plan: Plan, count: int, ended: Callable[[int], None], listener: socket.socket) -> int:
    """Keep ``count`` workers serving until a signal ends them all, and return the exit code.

    Args:
        plan: What they serve.
        count: How many.
        ended: Told the process id of each worker that has ended.
        listener: The socket they share.
    """
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: asked.append(received))
    workers = [_start(plan, listener) for _ in range(count)]
    replaced = set()
    failed = 0
    while not asked and not failed:
        wait([worker.sentinel for worker in workers], timeout=0.2)
        for at, worker in enumerate(workers):
            if worker.exitcode is None or asked:
                continue
            ended(worker.pid or 0)
            if at not in replaced and worker.exitcode in (2, _STARTUP_FAILURE):
                failed = worker.exitcode  # it would fail again; what breaks later may be mended, and others serve
                break
            replaced.add(at)
            logger.error("worker %s ended with exit code %s; it is replaced", worker.pid, worker.exitcode)
            time.sleep(_PAUSE_SECONDS)
            workers[at] = _start(plan, listener)
    listener.close()
    told = set()
    while any(worker.exitcode is None for worker in workers):
        for received in asked or [signal.SIGTERM]:
            for worker in workers:
                if worker.exitcode is None and (worker.pid, received) not in told and worker.pid:
                    told.add((worker.pid, received))
                    os.kill(worker.pid, received)
        wait([worker.sentinel for worker in workers if worker.exitcode is None], timeout=0.2)
    return failed or (130 if signal.SIGINT in asked else 0)


def _start(plan: Plan, listener: socket.socket) -> SpawnProcess:
    worker = multiprocessing.get_context("spawn").Process(target=_work, args=(plan, listener), daemon=False)
    with _interrupts_held_back():
        worker.start()
    return worker


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let a Ctrl-C reach a worker that is born here only when it handles signals, not while it loads its modules."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(plan: Plan, listener: socket.socket) -> None:
    """Serve as a worker, until the parent says so or is gone."""
    from callers_mcp import logs
    from callers_mcp.api.errors import NotConfigured
    from callers_mcp.http.app import HostedServer
    from callers_mcp.http.auth.token_store import TokenFileError
    from callers_mcp.http.ops.audit import AuditError
    from callers_mcp.http.runtime.process import serve

    logs.configure(plan.settings)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    try:
        hosted = HostedServer(plan.settings, plan.hosting, instructions=plan.instructions)
    except (NotConfigured, TokenFileError, AuditError) as error:
        logger.error("a worker can't start: %s", error)
        sys.exit(2)
    sys.exit(serve(plan, hosted, listener))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)
