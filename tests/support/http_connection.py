"""HTTP as bytes over one connection. Use it to send requests that no client library sends."""

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.constants import PATIENCE


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def result(self) -> dict[str, Any]:
        """The result in the JSON-RPC message; the status must be 200."""
        assert self.status == 200, self
        result: dict[str, Any] = self.content["result"]
        return result


class HttpConnection:
    """One connection to a server.

    Args:
        url: The URL of the endpoint, as in the configuration of a host.
        address: The address on which the server listens.
        tls: The context for TLS; None is plain HTTP.
    """

    def __init__(self, url: str, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.path, self.host = parts.path, parts.netloc
        self._socket = socket.create_connection(address, PATIENCE)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def post(self, message: object, **headers: str) -> None:
        """Send a JSON-RPC message; bytes are sent as they are, anything else as JSON."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.send(self.head("POST", self.path, Content_Length=str(len(body)), **headers) + body)

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """Return the head of a request with the usual headers; ``headers`` replace them, and "" removes one."""
        usual = {"Host": self.host, "Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def answer(self, *, bodiless: bool = False, meanwhile: Callable[[], None] = lambda: None) -> Answer:
        """Wait for the next answer. ``meanwhile`` is called when a tenth of its body has been read."""
        first = self._file.readline().decode()
        assert first.startswith("HTTP/1.1 "), f"no answer: {first!r}"
        lines = iter(self._file.readline, b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
        status = int(first.split()[1])
        length = 0 if bodiless or status in (204, 304) else int(headers["content-length"])
        body = self._file.read(length // 10)
        meanwhile()
        body += self._file.read(length - len(body))
        return Answer(status, headers, body)

    def is_closed(self) -> bool:
        """Wait until the server sends something or closes the connection; return whether it closed it."""
        try:
            return not self._file.read(1)
        except ConnectionError:
            return True
