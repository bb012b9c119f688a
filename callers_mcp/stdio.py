"""The stdio transport: serves one host over stdin and stdout, and stops when the host is gone.

A host disconnects without notice: it closes stdin, or only stdout, or sends a signal. Each of these stops the process
immediately, without waiting for threads (that resolve a name, or write to a full pipe). Otherwise, servers without a
host would accumulate by the hundred.
"""

import io
import os
import select
import sys
import threading
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

_GRACE_SECONDS = 0.7
"""After the end of stdin, calls in flight have this time to be answered with an error."""


def serve(server: Server[Any]) -> None:
    """Serve until the host is gone, then stop the process with exit code 0."""
    if sys.stdin is None or sys.stdout is None:
        raise SystemExit("callers-mcp: a host has to connect stdin and stdout; one of them is closed.")
    stdin, stdout = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what a library prints must not reach the host
    if hasattr(select, "poll"):
        threading.Thread(target=_exit_when_stdout_closes, args=(stdout,), name="stdout-watch", daemon=True).start()
    anyio.run(_serve, server, stdin, stdout)


async def _serve(server: Server[Any], stdin: int, stdout: int) -> None:
    lines = io.TextIOWrapper(io.BufferedReader(_Stdin(stdin)), encoding="utf-8", errors="replace")
    async with stdio_server(anyio.wrap_file(lines), _Stdout(stdout)) as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())
    _exit_process()


class _Stdin(io.FileIO):
    """Stdin whose end stops the process within ``_GRACE_SECONDS``, if it does not stop by itself."""

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        if count == 0:
            timer = threading.Timer(_GRACE_SECONDS, _exit_process)
            timer.daemon = True
            timer.start()
        return count


class _Stdout(anyio.AsyncFile[str]):
    """Stdout that writes and flushes in one step, which saves a change of threads per message."""

    def __init__(self, descriptor: int) -> None:
        self._binary = os.fdopen(descriptor, "wb")
        super().__init__(io.TextIOWrapper(self._binary))

    async def write(self, text: Any, /) -> int:
        """Write and flush; stop the process if stdout was closed by its reader."""
        return await anyio.to_thread.run_sync(self._write, text)

    async def flush(self) -> None:
        """Do nothing: ``write`` has flushed."""

    def _write(self, text: str) -> int:
        try:
            count = self._binary.write(text.encode())
            self._binary.flush()
        except OSError:
            _exit_process()
        return count


def _exit_when_stdout_closes(stdout: int) -> None:
    """Stop the process when the reader of ``stdout`` has gone, which an idle server would not notice by writing."""
    poll = select.poll()
    poll.register(stdout, 0)  # POLLERR and POLLHUP are always reported
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll()):
        _exit_process()


_exit_lock = threading.Lock()


def _exit_process() -> NoReturn:
    """Stop the process; if several threads notice that the host is gone, only the first does it."""
    _exit_lock.acquire()
    os._exit(0)
