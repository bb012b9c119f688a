"""An HTTP server over real sockets that fails in chosen ways, and records the requests.

Use it as the Callers API, or as another server that the project connects to. ``stand_in_api`` has an API that works.
"""

import contextlib
import gzip
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.support.constants import PATIENCE

TICK = 0.02
"""Seconds between two checks of whether a client has disconnected."""

AT_ONCE = ("Retry-After", "0")
"""The header of an error that permits an immediate retry."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received: method, target, and headers with lower-case names."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    head: bytes
    at: float = field(default_factory=time.monotonic)

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for given, value in self.headers if given == name]


class Exchange:
    """A request, and the socket for its answer."""

    def __init__(self, server: "FaultServer", connection: socket.socket, request: Request) -> None:
        self.server, self.connection, self.request = server, connection, request
        self.reusable = False

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def hang(self) -> None:
        """Send nothing until the client disconnects or the server stops."""
        while not self.peer_left() and not self.server.stopping.wait(TICK):
            pass

    def peer_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            left = bool(readable) and not self.connection.recv(65_536)
        except ConnectionError:
            left = True
        if left:
            self.server.disconnected.set()
        return left

    def reset(self) -> None:
        """Make the socket send an RST when it is closed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Exchange], None]


class FaultServer:
    """Serves on loopback within its ``with`` block.

    Args:
        behaviours: The nth request gets the nth behaviour; the last one repeats.
        tls: Serve TLS with this context.

    Attributes:
        requests: The received requests.
        connections: The number of accepted connections.
        stopping: Set when the server stops.
        disconnected: Set when a client has disconnected from a request without an answer.
    """

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping, self.disconnected = threading.Event(), threading.Event()
        self._behaviours = behaviours
        self._taken = 0
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    def script(self, *behaviours: Behaviour) -> None:
        """Set the behaviours for the next requests, and clear the recorded requests."""
        with self._changed:
            self._behaviours, self._taken, self.requests = behaviours, 0, []

    def wait_for_requests(self, count: int) -> None:
        """Block until ``count`` requests have been received."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, PATIENCE), "the request was not received"

    def wait_for_disconnect(self) -> None:
        """Block until a client has disconnected from a request without an answer."""
        assert self.disconnected.wait(PATIENCE), "the client did not disconnect"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every connection, and refuse new ones."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(
                ("127.0.0.1", self.port), PATIENCE
            ).close()  # wakes the thread that accepts connections
        for opened in [*self._open]:
            with contextlib.suppress(OSError):  # already closed
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            if self.stopping.is_set():
                accepted.close()
                return
            accepted.settimeout(PATIENCE)
            self._open.add(accepted)
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        connection = accepted
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
                self._open.add(connection)
                connection.do_handshake()
            while request := _read(connection):
                exchange = Exchange(self, connection, request)
                self._next(request)(exchange)
                if not exchange.reusable:
                    break
        except OSError:
            self.disconnected.set()
        finally:
            for used in (connection, accepted):
                self._open.discard(used)
                used.close()

    def _next(self, request: Request) -> Behaviour:
        with self._changed:
            behaviour = self._behaviours[min(self._taken, len(self._behaviours) - 1)]
            self._taken += 1
            self.requests.append(request)
            self._changed.notify_all()
        return behaviour


def _read(connection: socket.socket) -> Request | None:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65_536)
        if not received:
            return None
        head += received
    first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    method, target, _ = first.split(" ")
    headers = (line.partition(":") for line in lines)
    return Request(method, target, tuple((name.lower(), value.strip()) for name, _, value in headers), head)


def answer(
    body: bytes | object = b"",
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    kind: str = "application/json",
) -> Behaviour:
    """Send a correct HTTP answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda exchange: _answer(exchange, content, status, [("Content-Type", kind), *headers])


def error(status: int, message: object = None, headers: Iterable[tuple[str, str]] = ()) -> Behaviour:
    """Send the error body that the API documents."""
    return answer({"status": "error", "message": message, "data": []}, status, headers)


def gzipped(body: bytes, times: int = 1) -> Behaviour:
    """Send a compressed body."""
    for _ in range(times):
        body = gzip.compress(body)
    return answer(body, headers=[("Content-Encoding", ", ".join(["gzip"] * times))])


def redirect(status: int, location: str) -> Behaviour:
    return answer(b"", status, [("Location", location)])


def slow_headers(exchange: Exchange) -> None:
    """Send the beginning of the head, and then nothing."""
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    exchange.hang()


def slow_body(exchange: Exchange) -> None:
    """Send the beginning of the body, and then nothing."""
    exchange.send(_head(200, 1000), b'{"id": ')
    exchange.hang()


def drip(exchange: Exchange) -> None:
    """Send a body byte by byte, so fast that no timeout between two reads expires."""
    exchange.send(_head(200, 1_000_000))
    while not exchange.peer_left() and not exchange.server.stopping.wait(TICK):
        exchange.send(b" ")


def endless(status: int) -> Behaviour:
    """Send an endless body, as fast as the client reads."""

    def stream(exchange: Exchange) -> None:
        exchange.send(_head(status, None, [("Transfer-Encoding", "chunked")]))
        while not exchange.server.stopping.is_set():
            exchange.send(b"1000\r\n", b" " * 0x1000, b"\r\n")

    return stream


def silent(exchange: Exchange) -> None:
    """Never answer."""
    exchange.hang()


def reset_in_body(exchange: Exchange) -> None:
    """Reset the connection within the body."""
    exchange.send(_head(200, 1000), b'{"id": ')
    exchange.reset()


def reset_at_once(exchange: Exchange) -> None:
    """Reset the connection instead of answering."""
    exchange.reset()


def wrong_length(exchange: Exchange) -> None:
    """Send fewer bytes than ``Content-Length`` says, and close."""
    exchange.send(_head(200, 1000), b'{"id": 1}')


def close_at_once(exchange: Exchange) -> None:
    """Close the connection without an answer."""


def says(raw: bytes) -> Behaviour:
    """Send these bytes, and close."""
    return lambda exchange: exchange.send(raw)


def tunnel(port: int) -> Behaviour:
    """Act as a proxy that connects every CONNECT request to ``port`` on this machine."""

    def connect(exchange: Exchange) -> None:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as onward:
            exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ways = {exchange.connection: onward, onward: exchange.connection}
            while not exchange.server.stopping.is_set():
                for readable in select.select([*ways], [], [], TICK)[0]:
                    received = readable.recv(65_536)
                    if not received:
                        return
                    ways[readable].sendall(received)

    return connect


def together(count: int, make: Callable[[Request], Any]) -> Behaviour:
    """Answer with ``make(request)``, but only when ``count`` requests wait at the same time."""
    barrier = threading.Barrier(count)

    def answer_all(exchange: Exchange) -> None:
        barrier.wait(PATIENCE)
        answer(make(exchange.request))(exchange)

    return answer_all


def _answer(exchange: Exchange, content: bytes, status: int, headers: Iterable[tuple[str, str]]) -> None:
    # RFC 9110: an answer without a body has no Content-Length.
    bodiless = status in (204, 304)
    exchange.send(_head(status, None if bodiless else len(content), headers), b"" if bodiless else content)
    exchange.reusable = True


def _head(status: int, length: int | None, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers)]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8")
