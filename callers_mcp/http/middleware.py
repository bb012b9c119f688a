"""Checks before the SDK: public paths, unknown proxies, authentication, method, headers, body, number of calls.

They run in this order. If the client disconnects, the call is cancelled.
"""

import asyncio
import codecs
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from callers_mcp.api.turns import Turn
from callers_mcp.http.auth.bearer import METADATA_PATH, Authenticator
from callers_mcp.http.call_limit import CallLimit
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.rejections import HttpRejection
from callers_mcp.http.settings import MCP_PATH, HostingSettings
from callers_mcp.server.messages import InvalidMessage, parse_message
from callers_mcp.settings import HOST

MAX_REQUEST_BYTES = 65_536
"""The largest body of a request; a call takes a few hundred bytes."""

BODY_TIMEOUT_SECONDS = 10.0
"""How long a client may take to send its body."""

PRINCIPAL_KEY = "callers_mcp.caller"
"""The key of the verified principal in a request's ASGI scope; a client cannot set it."""

_PART_BYTES = 65_536  # of a response
_FORWARDING_HEADERS = (b"forwarded", b"via", b"x-real-ip")
_ACCEPT_ALL = (b"accept", b"application/json, text/event-stream")  # for the SDK, which reads the first and refuses less
_CLOSE = {"Connection": "close"}
_EVENT_STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform"}


class HttpMiddleware:
    """The ASGI middleware around the SDK's application.

    Args:
        app: The SDK's application.
        hosting: The ``CALLERS_HTTP_*`` settings.
        authenticator: Verifies the principal of a request.
        readiness: Answers the readiness probe.
        over_capacity: Called when a call is refused because there are too many, see ``CallLimit``.
        documents: Applications that need no authentication, by their paths.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosting: HostingSettings,
        authenticator: Authenticator,
        readiness: Readiness,
        over_capacity: Callable[[], None],
        documents: Mapping[str, ASGIApp],
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._limit = CallLimit(hosting.max_calls, over_capacity)
        self._refuses_forwarded = hosting.auth is None
        # Outside loopback and without TLS in this server, only trusted proxies may use plain http.
        self._plain_http_from_proxies = not hosting.on_loopback and not hosting.tls
        proxies = [str(network) for network in hosting.trusted_proxies]
        if not hosting.on_loopback:
            proxies += ["127.0.0.0/8", "::1"]  # a proxy on this machine, such as a sidecar
        # uvicorn and starlette have different types for the same ASGI.
        self._endpoint = ProxyHeadersMiddleware(self._serve_endpoint, proxies)  # type: ignore[arg-type]
        schemes = ("https", "http") if hosting.on_loopback else ("https",)
        origins = [f"{scheme}://{host}" for host in hosting.known_hosts for scheme in schemes]
        known = TransportSecuritySettings(allowed_hosts=list(hosting.known_hosts), allowed_origins=origins)
        self._security = TransportSecurityMiddleware(known)
        public = urlsplit(hosting.url).path.rstrip("/")
        self._endpoint_paths = {MCP_PATH, f"{MCP_PATH}/", public, f"{public}/"}
        self._documents = documents
        metadata = authenticator.metadata()
        self._public_paths: dict[str, Callable[[], tuple[Mapping[str, object], int]]] = {
            "/healthz": lambda: ({"alive": True}, 200),
            "/readyz": readiness.report,
        }
        if metadata:
            for path in ("", MCP_PATH, public):
                self._public_paths[METADATA_PATH + path] = lambda: (metadata, 200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # the lifespan; WebSockets are disabled in uvicorn
            return
        try:
            if scope["path"] in self._endpoint_paths:
                self._check_proxy_and_tls(scope)
                await self._endpoint(scope, receive, send)  # type: ignore[arg-type]  # as above
            elif (content := self._public_paths.get(scope["path"])) and scope["method"] in ("GET", "HEAD"):
                await JSONResponse(*content())(scope, receive, send)
            elif document := self._documents.get(scope["path"]):
                await document(scope, receive, send)
            else:
                raise HttpRejection(f"Not found; the MCP endpoint is {MCP_PATH}.", status=404)
        except HttpRejection as rejection:
            headers = {**rejection.headers}
            if rejection.reason:
                headers |= self._authenticator.rejection_headers(rejection, _client_address(scope))
            if rejection.retry_after_seconds is not None:
                headers["Retry-After"] = str(rejection.retry_after_seconds)
            await JSONResponse(rejection.body(), rejection.status, headers)(scope, receive, send)
        except InvalidMessage as error:
            response = error.response.model_dump(by_alias=True, exclude_unset=True)
            await JSONResponse(response, 400)(scope, receive, send)
        except ClientDisconnect:
            pass

    async def _serve_endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Blanks after a value are not a part of it (RFC 9110, section 5.5), but httptools keeps them.
        headers = [(name, value.rstrip(b" \t")) for name, value in scope["headers"]]
        scope["headers"] = [(name, value.lower() if name == b"host" else value) for name, value in headers]
        principal = await self._authenticator.authenticate(scope["headers"])
        if scope["method"] != "POST":  # there are no server events to GET, and no session to DELETE
            raise HttpRejection("This endpoint accepts only POST.", status=405, headers={"Allow": "POST"})
        request = Request(scope, receive)
        await self._check_host_and_origin(request)
        only_event_stream = _accepts_only_event_stream(",".join(request.headers.getlist("accept")))
        body = await _read_body(request)
        headers = [_ACCEPT_ALL, *scope["headers"]]
        call_scope = {**scope, "path": MCP_PATH, "headers": headers, PRINCIPAL_KEY: principal}
        send = _in_parts(send)
        response_send = _as_event_stream(scope, receive, send) if only_event_stream else send
        async with self._limit.place(principal) as turn:
            await self._call(call_scope, body, receive, response_send, turn)

    def _check_proxy_and_tls(self, scope: Scope) -> None:
        """Refuse a request through an untrusted proxy, or over plain http from another client."""
        if self._refuses_forwarded and any(
            name in _FORWARDING_HEADERS or name.startswith(b"x-forwarded-") for name, _ in scope["headers"]
        ):
            raise HttpRejection(
                "This server does not accept forwarded requests. Its operator must set CALLERS_HTTP_AUTH before "
                "putting a proxy in front of it.",
                status=403,
                error="forbidden",
                reason="forwarded",
            )
        address, _ = scope["client"] or (None, 0)
        if self._plain_http_from_proxies and address not in self._endpoint.trusted_hosts:
            raise HttpRejection(
                "This server accepts plain http only from the proxies in CALLERS_HTTP_TRUSTED_PROXIES; use its https "
                "URL.",
                status=403,
                error="forbidden",
                reason="plain_http",
            )

    async def _check_host_and_origin(self, request: Request) -> None:
        """Refuse a web page that rebinds its name to this server's address, and a body that is not JSON."""
        if len(request.headers.getlist("host")) > 1:
            raise HttpRejection("There is more than one Host header.")
        if refusal := await self._security.validate_request(request, is_post=True):
            message = bytes(refusal.body).decode()
            if refusal.status_code == HTTPStatus.MISDIRECTED_REQUEST:
                message += (
                    f": this server expects {self._security.settings.allowed_hosts[0]}. If clients use another name, "
                    "the operator sets CALLERS_HTTP_PUBLIC_URL to their URL, or adds the name to "
                    "CALLERS_HTTP_ALLOWED_HOSTS."
                )
            raise HttpRejection(message, status=refusal.status_code)

    async def _call(self, scope: Scope, body: bytes, receive: Receive, send: Send, turn: Turn) -> None:
        """Pass the call to the SDK, and cancel it if its client disconnects, which the SDK does not notice."""
        call = anyio.CancelScope()
        messages = iter([{"type": "http.request", "body": body}])

        async def wait_for_disconnect() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            call.cancel()

        async def replay() -> Message:
            for message in messages:
                return message
            return await asyncio.Future()  # the call is cancelled when the client disconnects

        async def respond(message: Message) -> None:
            turn.give_back()  # a client that does not read its response would keep it
            await send(message)

        disconnected = asyncio.ensure_future(wait_for_disconnect())
        try:
            with call:
                async with turn:
                    parse_message(body)  # it may take a while, so the limits of the caller come first
                    await self._app(scope, replay, respond)
        finally:
            disconnected.cancel()


@lru_cache(64)
def _accepts_only_event_stream(accept: str) -> bool:
    """Return whether a client with this Accept header takes no JSON; one that does not say gets JSON."""
    parts = (part.lower().replace(" ", "") for part in accept.split(",") if part.strip())
    types = {part.partition(";")[0] for part in parts if not re.search(r";q=0(\.0*)?(;|$)", part)}
    if not accept.strip() or types & {"application/json", "application/*", "*/*"}:
        return False
    if types & {"text/event-stream", "text/*"}:
        return True
    raise HttpRejection("Not Acceptable: Client must accept application/json", status=406)


async def _read_body(request: Request) -> bytes:
    """Return the body, within the limits of size and time.

    Raises:
        HttpRejection: It is too large or too slow.
        ClientDisconnect: The client did not send all of it.
    """
    if int(request.headers.get("content-length", 0)) > MAX_REQUEST_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_REQUEST_BYTES:
                    raise _too_large()
    except TimeoutError:
        late = f"The request did not arrive within {BODY_TIMEOUT_SECONDS:g} seconds."
        raise HttpRejection(late, status=408, headers=_CLOSE) from None
    return bytes(body).removeprefix(codecs.BOM_UTF8)


def _too_large() -> HttpRejection:
    return HttpRejection(f"The request is larger than {MAX_REQUEST_BYTES} bytes.", status=413, headers=_CLOSE)


def _client_address(scope: Scope) -> str:
    """Return the address to name in the log: what a trusted proxy says, else the peer's."""
    address: str = scope["client"][0] if scope["client"] else ""
    return address if HOST.fullmatch(address) else "unknown"  # a proxy may pass any text on


def _in_parts(send: Send) -> Send:
    """Send a long response in parts, each when the client has read the one before; its call counts until the last."""

    async def in_parts(message: Message) -> None:
        body = message.get("body", b"")
        if len(body) > _PART_BYTES:
            for start in range(0, len(body), _PART_BYTES):
                await send({**message, "body": body[start : start + _PART_BYTES], "more_body": True})
            message = {**message, "body": b""}
        await send(message)

    return in_parts


def _as_event_stream(scope: Scope, receive: Receive, send: Send) -> Send:
    """Send a JSON response as an event stream with one message."""
    start: Message = {}

    async def converted(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif start["status"] == HTTPStatus.OK:
            event = b"event: message\r\ndata: %s\r\n\r\n" % message["body"]
            await Response(event, headers=_EVENT_STREAM_HEADERS)(scope, receive, send)
        else:
            await send(start)
            await send(message)

    return converted
