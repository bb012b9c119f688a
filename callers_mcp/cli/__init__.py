"""The command line: one file a command, each importing what it needs when it runs."""

import gc
import io
import os
import signal
import sys


def main() -> None:
    """Run ``callers-mcp``."""
    # Ctrl-C ends any command quietly, even while a thread waits for stdin.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name in any script can be printed, wherever to
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # Start-up is mostly the import of modules, whose many objects all stay: collecting among them costs 8 % of it.
    gc.disable()
    from callers_mcp.cli.commands import callers_mcp

    try:
        callers_mcp(prog_name="callers-mcp")
    except* OSError as errors:  # what can't be printed, such as to a full disk
        if sys.stderr is not None and (problem := _first(errors)) is not None:
            sys.stderr.write(f"callers-mcp: {problem.strerror or problem}\n")
        os._exit(1)


def _first(errors: BaseExceptionGroup[OSError]) -> OSError | None:
    """Return the first error that is no pipe whose reader left, which is its right."""
    for error in errors.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if found is not None and not isinstance(found, BrokenPipeError):
            return found
    return None
