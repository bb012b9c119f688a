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
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

_GRACE_SECONDS = 0.7
"""How long after the end of stdin the calls in flight may take to be answered as closed."""


def serve(server: Server[Any]) -> None:
    """Serve until the host is gone, then end the process with exit code 0."""
    if sys.stdin is None or sys.stdout is None:
        raise SystemExit("callers-mcp: a host has to connect stdin and stdout; one of them is closed.")
    if hasattr(select, "poll"):
        threading.Thread(target=_end_with_reader, args=(os.dup(1),), name="stdout-watch", daemon=True).start()
    anyio.run(_serve, server)


async def _serve(server: Server[Any]) -> None:
    stdin = anyio.wrap_file(io.TextIOWrapper(io.BufferedReader(_Stdin(os.dup(0))), encoding="utf-8", errors="replace"))
    try:
        async with stdio_server(stdin=stdin) as (read_stream, write_stream):
            await server.run(read_stream, write_stream, server.create_initialization_options())
    except BaseExceptionGroup as group:
        if group.split(OSError)[1] is not None:  # an OSError is a stdout that broke while we wrote: the host is gone
            raise
    os._exit(0)


class _Stdin(io.FileIO):
    """Stdin whose end is the process's end, soon: by itself, or by force."""

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        if count == 0:
            timer = threading.Timer(_GRACE_SECONDS, os._exit, (0,))
            timer.daemon = True
            timer.start()
        return count


def _end_with_reader(stdout: int) -> None:
    """End the process when nobody can read ``stdout`` any more, which no write would tell while we are idle."""
    poll = select.poll()
    poll.register(stdout, 0)  # POLLERR and POLLHUP are always reported
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll()):
        os._exit(0)
