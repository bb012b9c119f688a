"""Uvicorn's HTTP protocol with limits: size and time of a request's head, pipelining, and unread responses."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import ClassVar

import httptools
from starlette.responses import JSONResponse
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from callers_mcp.http.rejections import HttpRejection

MAX_HEAD_BYTES = 32_768
"""The request line and all headers; a bearer token has a few thousand bytes at most."""

MAX_FIELDS = 100
"""Header and trailer fields of a request: one of four bytes takes a hundred times its size and time."""

HEAD_TIMEOUT_SECONDS = 10.0
"""How long a client may take for the TLS handshake, and then to send the head of a request."""

CLOSE_SECONDS = 1.0
"""How long an idle client may take at shutdown to confirm that TLS ends; one that does not read never does."""

MAX_PIPELINED_REQUESTS = 16
"""Requests that may wait on one connection for an earlier response; MCP hosts do not pipeline."""

READ_TIMEOUT_SECONDS = 10.0
"""How long a client may leave a part of a response unread; meanwhile it counts as a concurrent call."""

MAX_REFUSED_CONNECTIONS = 20
"""Connections above the limit whose requests are answered with status 503; further ones are closed at once."""

_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_over_capacity = JSONResponse(
    HttpRejection("Too many connections; try again in a second.").body(),
    503,
    {"Retry-After": "1", "Connection": "close"},
)
logger = logging.getLogger(__name__)

_LENGTHS = (b"content-length", b"transfer-encoding")


class _Timer:
    """Calls a function later, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, function: Callable[[], None]) -> None:
        """Start, unless it runs already."""
        self._handle = self._handle or self._loop.call_later(seconds, function)

    def stop(self) -> None:
        """Stop, if it runs."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client that sends too much or too slowly; httptools would wait and buffer forever.

    Trailers and everything else around a body count like the head.

    If a client offers an upgrade, such as Java's to HTTP/2, its request is answered without the upgrade; httptools
    would drop the body.
    """

    _bytes_outside_body = 0
    _last_data = b""  # the last bytes passed to the parser
    _replaying_head = False  # for a second parser: the callbacks have already run
    _current_cycle: RequestResponseCycle | None = None
    _is_refused = False
    _next_warning_at: ClassVar[float] = 0.0

    # The argument has the type that uvicorn declares, which is narrower than asyncio's.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        # With the limit, uvicorn would refuse the requests on all connections, also on those that were there before.
        above_limit = len(self.connections) - (self.limit_concurrency or sys.maxsize)
        self.limit_concurrency, self._is_refused = None, above_limit > 0
        if above_limit > MAX_REFUSED_CONNECTIONS:
            self.log_refusal(len(self.connections))
            transport.write(_REFUSAL)  # without waiting for its request: each connection takes a file descriptor
            transport.close()
        self._head_timer, self._read_timer = _Timer(self.loop), _Timer(self.loop)
        transport.set_write_buffer_limits(1)  # a response that the system has not taken whole is unread
        self._head_timer.start(HEAD_TIMEOUT_SECONDS, self._close_slow_head)

    def data_received(self, data: bytes) -> None:
        """Count the bytes that are not part of a body, and parse them."""
        if self.cycle is None or self.cycle.response_complete:
            # The next request on an idle connection, or the rest of a request that was refused early.
            self._head_timer.start(HEAD_TIMEOUT_SECONDS, self._close_slow_head)
        self._bytes_outside_body += len(data)
        self._feed(data)
        if self._bytes_outside_body > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Start the timer for the head, also for a pipelined request."""
        if len(self.pipeline) >= MAX_PIPELINED_REQUESTS:  # uvicorn has no such limit
            raise httptools.HttpParserError("too many pipelined requests")
        if not self._replaying_head:
            super().on_message_begin()
            self._fields = 0
            if not self.pipeline:  # otherwise nothing is read for now
                self._head_timer.start(HEAD_TIMEOUT_SECONDS, self._close_slow_head)

    def on_url(self, url: bytes) -> None:
        """Read the URL."""
        if not self._replaying_head:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header. Trailers only count: none that this server reads may be one (RFC 9110, section 6.5.1)."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise httptools.HttpParserError("too many fields")
        if self.cycle is None or self.cycle.scope is not self.scope:  # the head is not complete
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timer: the application limits the body."""
        if not self._replaying_head:
            self._head_timer.stop()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Do not count the body here: the application does."""
        self._bytes_outside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the timer, and reset the count."""
        if self.parser.should_upgrade():
            return  # the body is still to come
        self._head_timer.stop()
        self._bytes_outside_body = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse the request, and close the connection."""
        self._disconnect_current()
        super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and the call in progress."""
        self._head_timer.stop()
        self._read_timer.stop()
        self._disconnect_current()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection: at once if it is idle, otherwise after the response in progress."""
        super().shutdown()
        if self.transport.is_closing():
            self._read_timer.start(CLOSE_SECONDS, self._abort_unread)

    def on_response_complete(self) -> None:
        """Limit how long the client may take to read the last response."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._read_timer.start(READ_TIMEOUT_SECONDS, self._abort_unread)

    def pause_writing(self) -> None:
        """Limit how long the client may take to read."""
        super().pause_writing()
        self._read_timer.start(READ_TIMEOUT_SECONDS, self._abort_unread)

    def resume_writing(self) -> None:
        """Stop the timer: the client reads again."""
        self._read_timer.stop()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; abort it if the client has not read the last response."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current_cycle = cycle
        # starlette and uvicorn have different types for the same ASGI.
        super()._start_asgi_task(cycle, _over_capacity if self._is_refused else app)  # type: ignore[arg-type]

    @classmethod
    def log_refusal(cls, connections: int) -> None:
        """Log that connections are refused, at most once a minute."""
        if time.monotonic() >= cls._next_warning_at:
            cls._next_warning_at = time.monotonic() + 60
            logger.warning("clients are refused: there are too many connections, %d", connections)

    def _disconnect_current(self) -> None:
        """Notify the request in progress that its client has disconnected; uvicorn notifies only the newest request."""
        if self._current_cycle is not None:
            self._current_cycle.disconnected = True
            self._current_cycle.message_event.set()

    def _close_slow_head(self) -> None:
        self._disconnect_current()
        self.transport.close()
        self._read_timer.start(READ_TIMEOUT_SECONDS, self._abort_unread)

    def _abort_unread(self) -> None:
        self._disconnect_current()
        self.transport.abort()  # close() would wait for the client to read

    def _unsupported_upgrade_warning(self) -> None:
        """Parse the rest of a request that offered an upgrade with a new parser, which gets the length of the body.

        Source: RFC 9110, section 7.8; https://github.com/Kludex/uvicorn/issues/2722
        """
        upgrade = sys.exception()
        if self.pipeline or not isinstance(upgrade, httptools.HttpParserUpgrade):  # each needs another parser
            self.send_400_response("Only one request at a time may offer an upgrade.")
            return
        rest = self._last_data[upgrade.args[0] :]
        lengths = [b"%s: %s\r\n" % header for header in self.headers if header[0] in _LENGTHS]
        self.parser = httptools.HttpRequestParser(self)
        self._replaying_head = True
        self._feed(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(lengths))
        self._replaying_head = False
        self._feed(rest)

    def _feed(self, data: bytes) -> None:
        self._last_data = data
        if not self.transport.is_closing():
            super().data_received(data)
