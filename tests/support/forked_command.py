"""Runs ``callers-mcp`` in a process forked from one that has already imported it: a start takes a tenth of the time.

Use it in tests that start a command many times, and check its output and exit code.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.constants import PATIENCE
from tests.support.waiting import until

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["__main__", __name__, "callers_mcp.http.runtime.process", "callers_mcp.http.auth.oauth", "callers_mcp.cli.http"]
)


class ForkedCommand:
    """A command that runs within its ``with`` block.

    Args:
        folder: An empty folder for the output of the command.
        arguments: The arguments of ``callers-mcp``.
        environment: Variables in addition to those of the test process.

    Attributes:
        has_stdout: Whether it starts with stdout; some supervisors close it.
    """

    has_stdout = True

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._out, self._errors = folder / "out", folder / "errors"
        out = self._out if self.has_stdout else None
        self._process = _processes.Process(target=_run, args=(out, self._errors, arguments, environment))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    @property
    def out(self) -> str:
        """The stdout so far."""
        return self._out.read_text() if self._out.exists() else ""

    @property
    def errors(self) -> str:
        """The stderr so far."""
        return self._errors.read_text() if self._errors.exists() else ""

    def lines(self, count: int) -> list[str]:
        """Wait until it has printed ``count`` lines, and return them."""
        until(lambda: self.out.count("\n") >= count or self._process.exitcode is not None, f"it prints {count} lines")
        assert self.out.count("\n") == count, self.errors
        return self.out.splitlines()

    def stop(self) -> int:
        """Send SIGTERM, wait until it exits, and return the exit code; it must have answered a request before."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait until it exits, and return the exit code."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, f"it did not exit: {self.out}"
        return self._process.exitcode


def _run(out: Path | None, errors: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    os.setsid()  # without a terminal, on which it could prompt for a password
    for number, path in ((1, out or os.devnull), (2, errors)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    if out is None:
        sys.stdout = None  # as Python itself does then
    os.environ.update(environment)
    sys.argv = ["callers-mcp", *arguments]
    from callers_mcp.cli import main

    main()
