"""The command line: one file per command. Each command imports what it needs when it runs."""

import gc
import io
import os
import signal
import sys

_OF_LIBRARIES = {"OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER", "SSLKEYLOGFILE"}


def main() -> None:
    """Run ``callers-mcp``."""
    if sys.platform != "win32" and sys.getfilesystemencoding() != "utf-8" and "-Xutf8" not in sys.orig_argv:
        # The locale says ASCII. The configurations of hosts are UTF-8, and so are the paths in them.
        os.execv(sys.executable, [sys.executable, "-Xutf8", *sys.orig_argv[1:]])  # noqa: S606 - this same program
    # Ctrl-C stops any command without a traceback, even while a thread waits for stdin.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # so that a name in any script can be printed to any output
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # Most of the start-up imports modules, whose objects all stay. Garbage collection would find nothing to free and
    # take 8 % of the start-up.
    gc.disable()
    if not _OF_LIBRARIES.isdisjoint(os.environ):
        from callers_mcp.cli.runtime import ignore_unusable_variables

        ignore_unusable_variables()
    arguments = sys.argv[1:]
    try:
        if arguments in ([], ["--sandbox"]) and "_CALLERS_MCP_COMPLETE" not in os.environ:  # which shells set
            from callers_mcp.cli.serve import serve  # not through click, which takes 31 ms to load

            serve(use_sandbox=bool(arguments))
        else:
            from callers_mcp.cli.commands import callers_mcp

            callers_mcp(prog_name="callers-mcp")
    except* OSError as errors:  # output that can't be written, for example to a full disk
        # The reader of a pipe may close it at any time.
        problem: BaseException | None = errors.split(BrokenPipeError)[1]
        while isinstance(problem, BaseExceptionGroup):
            problem = problem.exceptions[0]
        if sys.stderr is not None and isinstance(problem, OSError):
            sys.stderr.write(f"callers-mcp: {problem.strerror or problem}\n")
        os._exit(1)
