"""The stdio transport: serves one host over stdin and stdout, and stops when the host is gone.

A host disconnects without notice: it closes stdin, or only stdout, or sends a signal. Each of these stops the process
without waiting for threads (that resolve a name, or write to a full pipe). Otherwise, servers without a host would
accumulate by the hundred.
"""

import codecs
import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import anyio
import mcp_types as types
from anyio.abc import ObjectStream, TaskGroup
from mcp.server.lowlevel import Server
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.message import SessionMessage

from callers_mcp.server.messages import InvalidMessage, parse_message

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 1.0
"""After the end of stdin, calls in flight may take this long; the rest gets an error. Hosts wait 2 seconds."""

_LAST_WRITE_SECONDS = 0.5
"""After that, the host has this time to read the answers."""

_IDLE_SECONDS = 0.02
"""Before each part of what a start leaves out is loaded, all requests are answered, and none comes for this time."""


def serve(server: Server[Any], rest: Iterable[Callable[[], object]] = ()) -> None:
    """Serve until the host is gone, then stop the process with exit code 0.

    Args:
        server: The server.
        rest: Functions that load what a start leaves out; they are called after the tools are listed, between requests.
    """
    if sys.stdin is None or sys.stdout is None:
        raise SystemExit("callers-mcp: a host has to connect stdin and stdout; one of them is closed.")
    stdin, stdout = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what a library prints must not reach the host
    if hasattr(select, "poll"):
        threading.Thread(target=_exit_when_stdout_closes, args=(stdout,), name="stdout-watch", daemon=True).start()
    anyio.run(_serve, server, rest, stdin, stdout)


async def _serve(server: Server[Any], rest: Iterable[Callable[[], object]], stdin: int, stdout: int) -> None:
    async with anyio.create_task_group() as tasks:
        host = _Host(rest, stdin, stdout, tasks)
        options = server.create_initialization_options()
        await server.run(host, host, options)
        if host.handshake:
            await server.run(host, host, options)


class _Host(ObjectStream[SessionMessage]):
    """The messages from and to the host, one a line."""

    def __init__(self, rest: Iterable[Callable[[], object]], stdin: int, stdout: int, tasks: TaskGroup) -> None:
        self._rest: Iterable[Callable[[], object]] | None = rest
        self._received = self._discovered = 0  # requests, and those of server/discover
        self.handshake: SessionMessage | None = None
        self._stdin, self._stdout = os.fdopen(stdin, "rb"), os.fdopen(stdout, "wb")
        self._tasks = tasks
        self._one_reader, self._one_writer = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        self._unanswered: dict[types.RequestId, types.RequestId] = {}
        self._all_answered = anyio.Event()
        self._all_answered.set()

    async def receive(self) -> SessionMessage:
        """Return the next valid message; answer an invalid one. At the end of stdin, stop the process.

        Raises:
            anyio.EndOfStream: A client that only asked what the server supports now begins with ``handshake``, which is
                for another run: the SDK serves one of the two ways in a run, the one of the first request.
        """
        if self.handshake:
            handshake, self.handshake = self.handshake, None
            return handshake
        while True:
            line = await anyio.to_thread.run_sync(self._read_line, limiter=self._one_reader)
            if not line:
                await self._answer_the_rest()
            text = line.removeprefix(codecs.BOM_UTF8).strip()  # tools on Windows write a byte order mark
            if not text:
                continue
            try:
                message = parse_message(text)
            except InvalidMessage as error:
                self._tasks.start_soon(self._write, error.response)  # the end of stdin must be seen, if it blocks
                continue
            if isinstance(message, types.JSONRPCRequest):
                if not self._unanswered:
                    self._all_answered = anyio.Event()
                self._unanswered[coerce_request_id(message.id)] = message.id
                only_discovered = 0 < self._received == self._discovered
                self._received += 1
                self._discovered += message.method == "server/discover"
                if message.method == "initialize" and only_discovered:
                    self.handshake = SessionMessage(message)
                    raise anyio.EndOfStream
                if message.method == "tools/list" and self._rest is not None:
                    self._tasks.start_soon(self._load, self._rest)
                    self._rest = None
            elif isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
                self._settle(cancelled_request_id_from_params(message.params))
            return SessionMessage(message)

    async def send(self, item: SessionMessage) -> None:
        """Write a message."""
        await self._write(item.message)

    async def send_eof(self) -> None:
        """Do nothing: stdout closes with the process."""

    async def aclose(self) -> None:
        """Do nothing: both close with the process."""

    async def _load(self, rest: Iterable[Callable[[], object]]) -> None:
        """Load one part after the other while no request waits; in this thread, as the SDK's models are used in it."""
        try:
            for load in rest:
                received = -1
                while received < self._received:
                    received = self._received
                    await self._all_answered.wait()
                    await anyio.sleep(_IDLE_SECONDS)
                load()
            logger.debug("the rest is loaded")
        except Exception:  # for example, the installation was removed; what is missing is loaded on first use
            logger.debug("the rest can't be loaded", exc_info=True)

    async def _answer_the_rest(self) -> NoReturn:
        """Wait for the answers in progress, answer the other requests with an error, and stop the process."""
        with anyio.move_on_after(_GRACE_SECONDS):
            await self._all_answered.wait()
        closed = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")
        for request_id in tuple(self._unanswered.values()):
            await self._write(types.JSONRPCError(jsonrpc="2.0", id=request_id, error=closed))
        async with self._one_writer:  # after the answers to invalid messages
            _exit_process()

    def _read_line(self) -> bytes:
        line = self._stdin.readline()
        if not line:  # this stops the process even if the event loop is busy, or stdout is not read
            timer = threading.Timer(_GRACE_SECONDS + _LAST_WRITE_SECONDS, _exit_process)
            timer.daemon = True
            timer.start()
        return line

    async def _write(self, message: types.JSONRPCMessage) -> None:
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            await anyio.to_thread.run_sync(self._write_line, text, limiter=self._one_writer)
        finally:
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                self._settle(message.id)

    def _write_line(self, text: str) -> None:
        try:
            self._stdout.write(text.encode() + b"\n")
            self._stdout.flush()
        except OSError:  # its reader has closed it
            _exit_process()

    def _settle(self, request_id: types.RequestId | None) -> None:
        if request_id is not None:
            self._unanswered.pop(coerce_request_id(request_id), None)
        if not self._unanswered:
            self._all_answered.set()


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
