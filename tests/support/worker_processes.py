"""Finds the worker processes of ``callers-mcp http --workers N``, stops them, and connects to each."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.hosted_server import Hosted
from tests.support.http_connection import HttpConnection
from tests.support.waiting import until

HAS_PROC = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the workers in /proc, which this system does not have"
)


def workers(server: Hosted, count: int) -> list[int]:
    """Wait until there are ``count`` workers, and return their process ids."""
    found: list[int] = []

    def have_started() -> bool:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        found[:] = [int(pid) for pid in children if b"spawn_main" in _command_of(pid)]
        return len(found) == count

    until(have_started, f"there are {count} workers")
    return found


def connections_to_workers(server: Hosted, count: int) -> list[HttpConnection]:
    """Return a connection to each worker, opened while the others are paused."""
    connections, pids = [], workers(server, count)
    for taken in pids:
        others = [pid for pid in pids if pid != taken]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        connections.append(server.connect())
        connections[-1].send(connections[-1].head("GET", "/healthz"))
        assert connections[-1].answer().status == 200
        for pid in others:
            os.kill(pid, signal.SIGCONT)
    return connections


def has_ended(pid: int) -> bool:
    """Return whether a process has exited."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _command_of(pid: str) -> bytes:
    """Return the command line of a process; nothing if it has exited."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
