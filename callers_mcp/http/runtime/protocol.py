"""Uvicorn's HTTP protocol, with a bound on the head of a request: on its size, and on the time it may take."""

import asyncio
import sys

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 32_768
"""The request line and all headers; a bearer token has a few thousand bytes at most."""

HEAD_TIMEOUT_SECONDS = 10.0
"""How long a client may take to send them."""

MAX_PIPELINED_REQUESTS = 16
"""Requests that may wait on one connection for the answer to an earlier one; hosts send none so."""

READ_TIMEOUT_SECONDS = 10.0
"""How long a client may leave what it is sent unread, while it holds a call's place."""

_LENGTHS = (b"content-length", b"transfer-encoding")


class BoundedProtocol(HttpToolsProtocol):
    """Ends the connection of who floods, or sends a head byte by byte; httptools alone waits and collects for ever.

    Trailers, and what else surrounds a body, count as its head does.

    A client that offers an upgrade, such as Java's to HTTP/2, is answered without it; httptools alone drops the body.
    """

    _bytes_beside_body = 0
    _last_data = b""  # to the parser, last
    _replaying_head = False  # to a second parser; all that it holds has been taken
    _current_cycle: RequestResponseCycle | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to no body."""
        if self.cycle is None or self.cycle.response_complete:
            # The next request on an idle connection, or the rest of one that was refused early.
            self._start_head_timer()
        self._bytes_beside_body += len(data)
        self._feed(data)
        if self._bytes_beside_body > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Start the clock, where requests follow each other without a pause too."""
        if len(self.pipeline) >= MAX_PIPELINED_REQUESTS:  # uvicorn alone takes in more with each answer, without bound
            raise httptools.HttpParserError("too many requests in one go")
        if not self._replaying_head:
            super().on_message_begin()
            self._start_head_timer()

    def on_url(self, url: bytes) -> None:
        """Take the URL."""
        if not self._replaying_head:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if not self._replaying_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: from here on the application bounds what comes."""
        if not self._replaying_head:
            self._stop_head_timer()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Leave to the application what it counts."""
        self._bytes_beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the clock, and count anew."""
        if self.parser.should_upgrade():
            return  # the body is still to come
        self._stop_head_timer()
        self._bytes_beside_body = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what came, and end the connection."""
        self._disconnect_current()
        super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, and what nobody waits for."""
        self._stop_head_timer()
        self._stop_read_timer()
        self._disconnect_current()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the client to read the last answer, but not for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._start_read_timer()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._start_read_timer()

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._stop_read_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, with what nobody has read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current_cycle = cycle
        super()._start_asgi_task(cycle, app)

    def _disconnect_current(self) -> None:
        """Tell the request under way that its client is gone; uvicorn alone tells the one that came last."""
        if self._current_cycle is not None:
            self._current_cycle.disconnected = True
            self._current_cycle.message_event.set()

    def _close_slow_head(self) -> None:
        self._disconnect_current()
        self.transport.close()
        self._start_read_timer()

    def _start_read_timer(self) -> None:
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(READ_TIMEOUT_SECONDS, self._abort_unread)

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _abort_unread(self) -> None:
        self._disconnect_current()
        self.transport.abort()  # to close it would wait for the reader

    def _unsupported_upgrade_warning(self) -> None:
        """Read the rest of a request that offered an upgrade with a new parser, which is told how long the body is.

        Source: RFC 9110, section 7.8; https://github.com/Kludex/uvicorn/issues/2722
        """
        upgrade = sys.exception()
        if self.pipeline or not isinstance(upgrade, httptools.HttpParserUpgrade):  # each costs a parser
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

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self._close_slow_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
