"""Checks before the SDK: public paths, unknown proxies, authentication, method, body size and time, number of calls.

They run in this order. If the client disconnects, the call is cancelled. The Host header is checked in
``app.py`` (``_transport_security``).
"""

import asyncio
import ipaddress
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import anyio
from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callers_mcp.http.auth.bearer import METADATA_PATH, Authenticator
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.rejections import HttpRejection, InsecureTransport, UntrustedProxy
from callers_mcp.http.settings import MCP_PATH, HostingSettings
from callers_mcp.settings import is_loopback

MAX_REQUEST_BYTES = 65_536
"""The largest body of a request; a call takes a few hundred bytes."""

BODY_TIMEOUT_SECONDS = 10.0
"""How long a client may take to send its body."""

PRINCIPAL_KEY = "callers_mcp.caller"
"""The key of the verified principal in a request's ASGI scope; a client cannot set it."""

_FORWARDING_HEADERS = (b"forwarded", b"via", b"x-real-ip")
_DISCONNECT: Message = {"type": "http.disconnect"}


class HttpMiddleware:
    """The ASGI middleware around the SDK's application.

    Args:
        app: The SDK's application.
        hosting: The ``CALLERS_HTTP_*`` settings.
        authenticator: Verifies the principal of a request.
        readiness: Answers the readiness probe; while it drains, each connection is closed after its response.
        over_capacity: Called when a call is refused because there are too many (``hosting.max_calls``).
    """

    def __init__(
        self,
        app: ASGIApp,
        hosting: HostingSettings,
        authenticator: Authenticator,
        readiness: Readiness,
        over_capacity: Callable[[], None],
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._readiness = readiness
        self._over_capacity = over_capacity
        self._max_calls = hosting.max_calls
        self._calls = 0
        self._refuses_forwarded = hosting.refuses_forwarded
        # Outside loopback and without TLS in this server, only trusted proxies may use plain http.
        self._plain_http_from_proxies = not hosting.on_loopback and not hosting.tls
        self._is_proxy = lru_cache(1024)(lambda address: _is_trusted_proxy(address, hosting))
        public = urlsplit(hosting.url).path.rstrip("/")
        self._endpoints = {MCP_PATH, f"{MCP_PATH}/", public, f"{public}/"}
        metadata = authenticator.metadata()
        self._public_paths: dict[str, Callable[[], tuple[int, Mapping[str, object]]]] = {
            "/healthz": lambda: (200, {"alive": True}),
            "/readyz": self._readiness_response,
        }
        if metadata:
            for path in ("", MCP_PATH, public):
                self._public_paths[METADATA_PATH + path] = lambda: (200, metadata)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # the lifespan; WebSockets are disabled in uvicorn
        elif scope["path"] in self._endpoints:
            await self._endpoint(scope, receive, send)
        elif (respond := self._public_paths.get(scope["path"])) and scope["method"] in ("GET", "HEAD"):
            status, content = respond()
            await _send(send, status, {"Content-Type": "application/json"}, json.dumps(content).encode())
        else:
            await _send_error(send, 404, f"Not found; the MCP endpoint is {MCP_PATH}.")

    async def _endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Blanks after a value are not a part of it (RFC 9110, section 5.5), but httptools keeps them.
        scope = {**scope, "headers": [(name, value.rstrip(b" \t")) for name, value in scope["headers"]]}
        try:
            self._check_proxy_and_tls(scope)
            principal = await self._authenticator.authenticate(scope["headers"])
        except HttpRejection as rejection:
            await _send(send, *self._authenticator.rejection_response(rejection, self._client_address(scope)))
            return
        if scope["method"] != "POST":  # there are no server events to GET, and no session to DELETE
            await _send_error(send, 405, "This endpoint accepts only POST.", {"Allow": "POST"})
            return
        body = await self._body(scope, receive, send)
        if body is None:
            return
        if self._calls >= self._max_calls:
            self._over_capacity()
            await _send_error(send, 503, "Too many calls at once; try again in a second.", {"Retry-After": "1"})
            return
        self._calls += 1
        try:
            await self._call({**scope, "path": MCP_PATH, PRINCIPAL_KEY: principal}, body, receive, send)
        finally:
            self._calls -= 1

    def _check_proxy_and_tls(self, scope: Scope) -> None:
        """Refuse a request through an untrusted proxy, or over plain http from another client."""
        if self._refuses_forwarded:
            for name, _ in scope["headers"]:
                if name in _FORWARDING_HEADERS or name.startswith(b"x-forwarded-"):
                    raise UntrustedProxy
        if self._plain_http_from_proxies and not self._is_proxy(_remote_address(scope)):
            raise InsecureTransport

    async def _body(self, scope: Scope, receive: Receive, send: Send) -> bytes | None:
        """Read the body; return ``None`` if an error was sent or the client has disconnected."""
        close = {"Connection": "close"}
        body, has_more = bytearray(), True
        is_too_large = _declared_bytes(scope) > MAX_REQUEST_BYTES
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                while has_more and not is_too_large:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message["body"]
                    is_too_large = len(body) > MAX_REQUEST_BYTES
                    has_more = message.get("more_body", False)
        except TimeoutError:
            await _send_error(send, 408, f"The request did not arrive within {BODY_TIMEOUT_SECONDS:g} seconds.", close)
            return None
        if is_too_large:
            await _send_error(send, 413, f"The request is larger than {MAX_REQUEST_BYTES} bytes.", close)
            return None
        content = bytes(body)
        if not _is_utf8_json(content):
            await _send_error(send, 400, "Parse error: the request is not UTF-8 JSON.", code=-32700)
            return None
        return content

    async def _call(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Pass the call to the SDK, and cancel it if its client disconnects, which the SDK does not notice."""
        call = anyio.CancelScope()
        replayed = False

        async def wait_for_disconnect() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            call.cancel()

        async def replay() -> Message:
            nonlocal replayed
            if not replayed:
                replayed = True
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.shield(disconnected)
            return _DISCONNECT

        disconnected = asyncio.ensure_future(wait_for_disconnect())
        try:
            with call:
                await self._app(
                    scope, replay, _simplify_parse_errors(_close_after(send) if self._readiness.draining else send)
                )
        finally:
            disconnected.cancel()

    def _readiness_response(self) -> tuple[int, Mapping[str, object]]:
        problems = self._readiness.problems()
        return (503, {"ready": False, "problems": problems}) if problems else (200, {"ready": True})

    def _client_address(self, scope: Scope) -> str:
        """Return the address to name in the log: what a named proxy says, else the peer's."""
        address = _remote_address(scope)
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for forwarded_address in reversed([part.strip() for value in forwarded for part in value.split(",")]):
            if not self._is_proxy(address):
                break
            address = forwarded_address
        return address if _is_address(address) else "unknown"


def _remote_address(scope: Scope) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""


def _declared_bytes(scope: Scope) -> int:
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _is_trusted_proxy(address: str, hosting: HostingSettings) -> bool:
    if is_loopback(address) and not hosting.on_loopback:
        return True  # a proxy on this machine, such as a sidecar
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in hosting.trusted_proxies)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone, which may contain any text


def _is_utf8_json(body: bytes) -> bool:
    """Return whether the values in ``body`` can be written as JSON; if not, the SDK would fail when it responds."""
    try:
        if b"\\u" in body or not body.isascii():
            from_json(body)  # refuses lone surrogates: a response could not repeat an id that contains one
    except ValueError:
        return False
    return True


def _simplify_parse_errors(send: Send) -> Send:
    """Replace the SDK's long validation error with a short one."""
    pending_start: Message | None = None

    async def simplified(message: Message) -> None:
        nonlocal pending_start
        if message["type"] == "http.response.start" and message["status"] == 400:
            pending_start = message
            return
        if pending_start is not None:
            start, pending_start = pending_start, None
            if b"errors.pydantic.dev" in message["body"]:
                await _send_error(send, 400, "Invalid message: it is not a JSON-RPC 2.0 request.", code=-32602)
                return
            await send(start)
        await send(message)

    return simplified


def _close_after(send: Send) -> Send:
    """Close the connection after its response, so that the client's next request reaches another server."""

    async def closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closed


async def _send_error(
    send: Send, status: int, message: str, headers: Mapping[str, str] | None = None, *, code: int = -32600
) -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    await _send(send, status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
