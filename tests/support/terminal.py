"""The command on a pseudo-terminal, as a person sees it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import inherited
from tests.support.constants import PATIENCE

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")


class Terminal:
    """A process on a terminal of its own; stdin, stdout and stderr are it, but for what ``streams`` says."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None, **streams: int) -> None:
        self._ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "callers_mcp", *arguments],
            env=inherited() | {"TERM": "xterm-256color"} | (environment or {}),
            **({"stdin": its, "stdout": its, "stderr": its} | streams),
        )
        os.close(its)

    def read_until(self, text: str) -> str:
        """Return what it shows, up to ``text`` or its end."""
        shown = b""
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        try:
            while text.encode() not in shown:
                shown += os.read(self._ours, 4096)
        except OSError:  # how Linux says that nobody holds the other end any more
            assert self.process.wait(PATIENCE) >= 0
        finally:
            watch.cancel()
        return shown.decode()

    def write(self, text: str) -> None:
        """Type it."""
        os.write(self._ours, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(*arguments: str, environment: dict[str, str] | None = None, **streams: int) -> Iterator[Terminal]:
    started = Terminal(*arguments, environment=environment, **streams)
    try:
        yield started
    finally:
        started.close()
