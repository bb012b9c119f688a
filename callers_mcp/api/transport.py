"""Connections to the API: proxy, TLS, the connection pool, and the errors of failed connections."""

import errno
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Literal
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2

from callers_mcp import __version__
from callers_mcp.api.errors import (
    Advice,
    CallersError,
    NotConfigured,
    UnexpectedResponse,
    Unreachable,
    internal_error,
    is_installation_gone,
)
from callers_mcp.api.events import Observer
from callers_mcp.api.responses import RawResponse
from callers_mcp.sanitize import truncate
from callers_mcp.settings import HOST, Settings, is_loopback, variable

logger = logging.getLogger(__name__)

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"callers-mcp/{__version__}",
}
"""The headers of each request, besides the key and the sub-organization."""

_CONNECTIONS_PER_TRANSPORT = 10
"""A transport looks at each of its connections before and after each request; with 100 that takes a millisecond."""

_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

# Of OpenSSL's x509_vfy.h. What is refused is an authority's certificate: its issuer is not known, it is not an
# authority's at all, its key or digest is too weak, or it does not have the extensions of an authority's.
_AUTHORITY_CODES = (2, 24, 67, 68, 79, 89, 92)
_TIME_CODES = (9, 10)  # not valid yet, expired

_FIX_OR_UNSET = Advice("The operator fixes or unsets it.", "Fix or unset it.")


def transport_factory(base_url: str) -> Callable[[int], httpx2.AsyncHTTPTransport]:
    """Return a function that makes transports to a server, each with the given number of connections at most.

    They use the proxy and the certificates that the environment names. Used without a client, they follow no
    redirects, keep no cookies, do not read ``.netrc``, and have no timeouts: the look-up's deadline covers everything.

    Raises:
        NotConfigured: A proxy setting or a certificate file can't be used.
    """
    try:
        # Plain http is for loopback only and needs no certificates: loading them would take 30 ms of the first call.
        over_tls = base_url.startswith("https:")
        tls = httpx2.create_ssl_context() if over_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except OSError as error:
        if error.errno in _NO_DESCRIPTORS:
            raise _no_descriptors() from None
        raise NotConfigured(
            "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded "
            f"({error.strerror or 'not PEM'}).",
            _FIX_OR_UNSET,
        ) from None
    proxy = _proxy(base_url)

    def create(size: int) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=30)
        return httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=proxy)

    return create


def proxy_setting(base_url: str) -> str | None:
    """Return the name of the setting whose proxy is used for a server, or ``None`` if no proxy is used.

    For a server on loopback no proxy is used: in a test, the proxy of ``HTTP_PROXY`` received the key that way.
    """
    url = httpx2.URL(base_url)
    if is_loopback(url.host) or proxy_bypass(f"{url.host}:{url.port or 443}") or not _system_proxy_url():
        return None
    return next((name for name in _PROXIES if os.environ.get(name)), "the system's proxy setting")


def _system_proxy_url() -> str | None:
    proxies = getproxies()
    return proxies.get("https") or proxies.get("all")


def _proxy(base_url: str) -> httpx2.Proxy | None:
    name, url = proxy_setting(base_url), _system_proxy_url()
    if not name or not url:
        return None
    try:
        proxy = httpx2.Proxy(url if "://" in url else f"http://{url}")
        usable = HOST.fullmatch(proxy.url.host) and (proxy.url.port is None or 0 < proxy.url.port < 65_536)
    except (ValueError, httpx2.InvalidURL):
        usable = None
    if not usable or (proxy.url.scheme.startswith("socks") and find_spec("socksio") is None):
        raise NotConfigured(f"{name} can't be used as a proxy: it takes a URL such as http://host:port.", _FIX_OR_UNSET)
    return proxy


def transport_error(error: httpx2.RequestError | OSError, proxy: str | None) -> CallersError:
    """Return the error for a failed connection; ``proxy`` is the name of the setting that a proxy was taken from."""
    base_url = variable("base_url")
    endpoint = f"proxy that {proxy} names" if proxy else "Callers API"
    causes = list(_causes(error))

    def caused_by(kind: type[Exception]) -> bool:
        return any(isinstance(cause, kind) for cause in causes)

    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_error(cause)
        if isinstance(cause, OSError) and cause.errno in _NO_DESCRIPTORS:
            return _no_descriptors()
    if isinstance(error, httpx2.ProxyError):
        problem = f"The {endpoint} did not let the request through"
        return _permanent(problem, f"the operator checks {proxy}.", f"Check {proxy}.")
    if isinstance(error, httpx2.DecodingError):
        return UnexpectedResponse(
            "The API's answer is compressed in a way that could not be read.", Advice.check(base_url)
        )
    if isinstance(error, httpx2.RemoteProtocolError) and not _is_lost_connection(str(error)):
        return UnexpectedResponse(f"What answers at {base_url} does not speak HTTP.", Advice.check("the base URL"))
    if caused_by(socket.gaierror):
        problem = f"The name of the {endpoint} could not be resolved"
    elif caused_by(ConnectionRefusedError):
        problem = f"The connection to the {endpoint} was refused"
    elif caused_by(ssl.SSLError):
        problem = "No secure connection (TLS) to the Callers API could be made"
    elif isinstance(error, httpx2.ConnectError):
        problem = f"No connection to the {endpoint} could be made"
    elif is_installation_gone():  # the sandbox, in this process, imports modules when it needs them
        return internal_error("a request")
    else:
        problem = "The connection to the Callers API was reset before the answer was complete"
    return Unreachable(
        problem, Advice.check(f"the network and {proxy or base_url}", "Trying again may help; if it goes on,")
    )


def _certificate_error(error: ssl.SSLCertVerificationError) -> Unreachable:
    reason = truncate(error.verify_message.rstrip("."), 200)
    problem = f"The Callers API's certificate could not be verified ({reason}), so no key was sent"
    if _is_own_certificate(error.verify_code):
        refused = "the certificate that was refused is one that SSL_CERT_FILE names"
        return _permanent(problem, f"{refused}; the operator replaces it.", f"Replace a certificate: {refused}.")
    base_url = variable("base_url")
    return _permanent(
        problem,
        f"the operator checks {base_url}, or names the authority in SSL_CERT_FILE.",
        f"Check {base_url}, or name the authority in SSL_CERT_FILE.",
    )


def _is_own_certificate(verify_code: int) -> bool:
    """Return whether ``SSL_CERT_FILE`` names the refused certificate: with it, no other authority is trusted."""
    file = os.environ.get("SSL_CERT_FILE")
    if not file or verify_code in _AUTHORITY_CODES:
        return bool(file)
    if verify_code in _TIME_CODES:
        with suppress(OSError):
            named = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            named.load_verify_locations(file)
            now, authorities = time.time(), named.get_ca_certs()
            # A certificate that is not an authority's is trusted only as the server's own.
            return not authorities or any(
                not ssl.cert_time_to_seconds(str(authority["notBefore"]))
                <= now
                <= ssl.cert_time_to_seconds(str(authority["notAfter"]))
                for authority in authorities
            )
    return False


def _no_descriptors() -> Unreachable:
    return Unreachable(
        "This server has too many open files and connections for one more to the Callers API",
        Advice.check("the limit of open files (ulimit -n)", "Trying again may help; if it goes on,"),
    )


def _permanent(problem: str, operator_advice: str, person_advice: str) -> Unreachable:
    advice = Advice(f"Trying again will probably not help: {operator_advice}", person_advice)
    error = Unreachable(problem, advice, transient=False)
    error.retryable = False
    return error


def _is_lost_connection(text: str) -> bool:
    # h11 and httpcore2 raise one type for a closed connection and for bytes that are not HTTP; only the texts differ.
    return "disconnected" in text or "closed connection" in text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from (cause for each in getattr(error, "exceptions", ()) for cause in _causes(each))
        error = error.__cause__ or error.__context__


class ConnectionPool:
    """Sends requests to the API; connections are opened when they are needed."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        self._factory: Callable[[int], httpx2.AsyncHTTPTransport] | None = None
        self._in_use: dict[httpx2.AsyncHTTPTransport, int] = {}

    async def aclose(self) -> None:
        """Close the connections that are not in use; the others close after their request."""
        transports, self._in_use = self._in_use, {}
        with anyio.CancelScope(shield=True):
            for transport, in_use in transports.items():
                if not in_use:
                    await transport.aclose()

    async def get(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        limited_by: Literal["max_body_bytes", "list_max_body_bytes"] = "max_body_bytes",
    ) -> RawResponse:
        """Send a request and read its answer, up to the size that the setting ``limited_by`` allows.

        Raises:
            CallersError: There is no answer, or it is too large.
        """
        base_url, started = self._settings.base_url, time.perf_counter()
        try:
            return await self._send(httpx2.Request("GET", base_url + path, headers={**HEADERS, **headers}), limited_by)
        except (httpx2.RequestError, OSError) as error:
            if not isinstance(error, httpx2.RequestError) and error.errno not in _NO_DESCRIPTORS:
                raise
            logger.debug("request to %s failed: %s", path, type(error).__name__)
            raise transport_error(error, proxy_setting(base_url)) from None
        finally:
            self._observer.on_api_request(time.perf_counter() - started)

    async def _send(self, request: httpx2.Request, limited_by: str) -> RawResponse:
        """Send a request; if a kept connection turns out to be closed, drop all kept ones and send it once more."""
        is_new = False

        async def trace(event: str, _: object) -> None:
            nonlocal is_new
            is_new = is_new or event.endswith("connect_tcp.started")

        request.extensions["trace"] = trace
        while True:
            async with self._transport() as transport:
                try:
                    response = await transport.handle_async_request(request)
                except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                    if is_new:
                        raise
                    is_new = True  # once only
                    if transport in self._in_use:
                        await self.aclose()
                    continue
                async with aclosing(response):
                    return RawResponse(response.status_code, response.headers, await self._read(response, limited_by))

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[httpx2.AsyncHTTPTransport]:
        """Use the first transport with a free connection, to keep few open, or the one with the shortest queue."""
        if not self._in_use:
            self._in_use = dict.fromkeys(self._open_transports(), 0)
        in_use = self._in_use
        free = [each for each, count in in_use.items() if count < _CONNECTIONS_PER_TRANSPORT]
        transport = free[0] if free else min(in_use, key=in_use.__getitem__)
        in_use[transport] += 1
        try:
            yield transport
        finally:
            in_use[transport] -= 1
            if not in_use[transport] and in_use is not self._in_use:
                with anyio.CancelScope(shield=True):
                    await transport.aclose()

    def _open_transports(self) -> Iterator[httpx2.AsyncHTTPTransport]:
        if self._factory is None:
            self._factory = transport_factory(self._settings.base_url)
        for used in range(0, self._settings.max_connections, _CONNECTIONS_PER_TRANSPORT):
            yield self._factory(min(_CONNECTIONS_PER_TRANSPORT, self._settings.max_connections - used))

    async def _read(self, response: httpx2.Response, limited_by: str) -> bytes:
        limit: int = getattr(self._settings, limited_by)
        chunks: list[bytes] = []
        size = 0
        if codings := response.headers.get("content-encoding"):  # RFC 9110: x-gzip is the same as gzip
            response.headers["content-encoding"] = re.sub(r"\bx-gzip\b", "gzip", codings, flags=re.IGNORECASE)
        async for chunk in response.aiter_bytes():
            if chunks:
                await anyio.lowlevel.checkpoint()  # many tiny chunks may have come at once
            size += len(chunk)
            if size > limit:
                if not response.is_success:
                    break  # the status is enough
                raise UnexpectedResponse(
                    f"The API's answer is larger than {limit} bytes, so it was not read.",
                    Advice(f"The operator may raise {variable(limited_by)}.", f"You can raise {variable(limited_by)}."),
                    http_status=response.status_code,
                )
            chunks.append(chunk)
        return b"".join(chunks)
