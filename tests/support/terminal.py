"""Runs ``callers-mcp`` on a pseudo-terminal. Use it for behaviour on a terminal: prompts, colours, hints for people."""

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
termios = pytest.importorskip("termios", reason="this system has no pseudo-terminals")


class Terminal:
    """A process on its own terminal, which is its stdin, stdout and stderr unless ``streams`` replaces one."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None, **streams: int) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "callers_mcp", *arguments],
            env=inherited() | {"TERM": "xterm-256color"} | (environment or {}),
            **({"stdin": theirs, "stdout": theirs, "stderr": theirs} | streams),
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """Return the output until it contains ``text`` or the process exits."""
        shown = b""
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        try:
            while text.encode() not in shown:
                shown += os.read(self._ours, 4096)
        except OSError:  # Linux reports the end of the output like this
            assert self.process.wait(PATIENCE) >= 0
        finally:
            watch.cancel()
        return shown.decode()

    def write(self, text: str) -> None:
        """Type text."""
        os.write(self._ours, text.encode())

    def shows_typing(self) -> bool:
        """Return whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(*arguments: str, environment: dict[str, str] | None = None, **streams: int) -> Iterator[Terminal]:
    """Run a command on a terminal until the block ends."""
    started = Terminal(*arguments, environment=environment, **streams)
    try:
        yield started
    finally:
        started.close()
