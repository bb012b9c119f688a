"""Runs ``callers-mcp`` with arguments, and returns its exit code, stdout and stderr.

Use ``run`` by default: it runs the command inside the test process, in milliseconds. Use ``run_process`` only for what
a separate process can show: how the interpreter sets up the streams, the umask, and the exit.
"""

import io
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NoReturn
from unittest import mock

from callers_mcp.cli import runtime
from callers_mcp.cli.commands import callers_mcp
from tests.support.constants import PATIENCE

CONFIGURED_LOGGERS = (None, "callers_mcp")
"""The loggers that ``callers_mcp.logs.configure`` changes; None is the root."""


def without_settings() -> dict[str, str]:
    """Return the environment of this process, without ``CALLERS_*`` variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CALLERS_")}


def run(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    terminal: bool = False,
    answers: str | None = None,
) -> tuple[int, str, str]:
    """Run ``callers-mcp`` inside the test process. Not for async tests: some commands start an event loop.

    Args:
        arguments: The command and its arguments.
        environment: Variables to set.
        inherit: Whether the command sees the variables of this process too, without ``CALLERS_*``.
        terminal: Whether stdout claims to be a terminal.
        answers: What a person types; stdin claims to be a terminal. ``None``: stdin is not a terminal, and empty.

    Returns:
        Exit code, stdout, stderr. Log lines are in stderr, as they are written to file descriptor 2.
    """
    variables = (without_settings() if inherit else {}) | dict(environment or {})
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, variables, clear=True))
        stack.enter_context(mock.patch.object(runtime, "_exit_process", _raise_exit))
        stack.enter_context(_restored_loggers())
        stdin = stack.enter_context(Path(os.devnull).open()) if answers is None else _Typed(answers)
        stack.enter_context(mock.patch.object(sys, "stdin", stdin))
        out, errors = (stack.enter_context(_captured(name, terminal=terminal)) for name in ("stdout", "stderr"))
        try:
            callers_mcp(list(arguments), prog_name="callers-mcp")
        except SystemExit as exit_:
            code = 0 if exit_.code is None else exit_.code
        assert isinstance(code, int)
        return code, _content(out), _content(errors)


def run_process(
    *arguments: str, environment: Mapping[str, str] | None = None, inherit: bool = True, umask: int = -1
) -> tuple[int, str, str]:
    """Run ``callers-mcp`` as a separate process; return the same as ``run``."""
    done = subprocess.run(
        [sys.executable, "-m", "callers_mcp", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=(without_settings() if inherit else {}) | dict(environment or {}),
        timeout=PATIENCE,
        umask=umask,
    )
    return done.returncode, done.stdout, done.stderr


def _raise_exit(code: int) -> NoReturn:
    """Exit from the command, but not from the test process."""
    raise SystemExit(code)


class _Typed(io.StringIO):
    """A terminal on which somebody has typed a text."""

    def isatty(self) -> bool:
        return True


class _Stream(io.TextIOWrapper):
    """A standard stream with the encoding that ``callers_mcp.cli.main`` sets."""

    def __init__(self, file: IO[bytes], *, terminal: bool) -> None:
        super().__init__(file, encoding="utf-8", errors="backslashreplace", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@contextmanager
def _captured(name: str, *, terminal: bool) -> Iterator[IO[bytes]]:
    """Redirect a standard stream and its file descriptor to a file."""
    descriptor = {"stdout": 1, "stderr": 2}[name]
    with tempfile.TemporaryFile(buffering=0) as file:
        earlier = os.dup(descriptor)
        os.dup2(file.fileno(), descriptor)
        stream = _Stream(file, terminal=terminal)
        try:
            with mock.patch.object(sys, name, stream):
                yield file
        finally:
            stream.detach()
            os.dup2(earlier, descriptor)
            os.close(earlier)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace(os.linesep, "\n")


@contextmanager
def _restored_loggers() -> Iterator[None]:
    """Restore levels and handlers afterwards. Root handlers are hidden, so that ``basicConfig`` can't close them."""
    loggers = [logging.getLogger(name) for name in CONFIGURED_LOGGERS]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    loggers[0].handlers = []
    try:
        yield
    finally:
        for logger, (level, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers = handlers
