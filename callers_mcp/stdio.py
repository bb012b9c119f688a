"""Serving one host over stdin and stdout, for exactly as long as the host is there.

Hosts come and go without a word: they close our stdin, or only our stdout, or send a signal. Each of these ends the
process, at once and without waiting for threads (a resolver's, or one that is writing into a full pipe), as servers
that outlive their host pile up by the hundred.
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
"""How long after the end of stdin the calls in flight may take to be answered as closed."""


def serve(server: Server[Any]) -> None:
    """Serve until the host is gone, then end the process with exit code 0."""
    if sys.stdin is None or sys.stdout is None:
        raise SystemExit("callers-mcp: a host has to connect stdin and stdout; one of them is closed.")
    stdin, stdout = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not reach the wire
    if hasattr(select, "poll"):
        threading.Thread(target=_exit_when_stdout_closes, args=(stdout,), name="stdout-watch", daemon=True).start()
    anyio.run(_serve, server, stdin, stdout)


async def _serve(server: Server[Any], stdin: int, stdout: int) -> None:
    lines = io.TextIOWrapper(io.BufferedReader(_Stdin(stdin)), encoding="utf-8", errors="replace")
    async with stdio_server(anyio.wrap_file(lines), _Stdout(stdout)) as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())
    _exit_process()


class _Stdin(io.FileIO):
    """Stdin whose end is the process's end, soon: by itself, or by force."""

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        if count == 0:
            timer = threading.Timer(_GRACE_SECONDS, _exit_process)
            timer.daemon = True
            timer.start()
        return count


class _Stdout(anyio.AsyncFile[str]):
    """Stdout that is written to in one step: the transport's write and flush would be a change of threads each."""

    def __init__(self, descriptor: int) -> None:
        self._binary = os.fdopen(descriptor, "wb")
        super().__init__(io.TextIOWrapper(self._binary))

    async def write(self, text: Any, /) -> int:
        """Write and flush; a stdout that nobody reads any more ends the process."""
        return await anyio.to_thread.run_sync(self._write, text)

    async def flush(self) -> None:
        """Do nothing: each write has been flushed."""

    def _write(self, text: str) -> int:
        try:
            count = self._binary.write(text.encode())
            self._binary.flush()
        except OSError:
            _exit_process()
        return count


def _exit_when_stdout_closes(stdout: int) -> None:
    """End the process when nobody can read ``stdout`` any more, which no write would tell while we are idle."""
    poll = select.poll()
    poll.register(stdout, 0)  # POLLERR and POLLHUP are always reported
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll()):
        _exit_process()


_exit_lock = threading.Lock()


def _exit_process() -> NoReturn:
    """End the process; of several threads that find the host gone, the first does."""
    _exit_lock.acquire()
    os._exit(0)
