"""Connections to the API: proxy, TLS, the connection pool, and the errors of failed connections."""

import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from typing import Literal
from urllib.request import getproxies, proxy_bypass

import httpx2

from callers_mcp import __version__
from callers_mcp.api.errors import Advice, CallersError, NotConfigured, UnexpectedResponse, Unreachable
from callers_mcp.api.events import Observer
from callers_mcp.api.responses import RawResponse
from callers_mcp.settings import HOST, Settings, variable

logger = logging.getLogger(__name__)

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"callers-mcp/{__version__}",
}
"""The headers of each request, besides the key and the sub-organization."""

_CONNECTIONS_PER_CLIENT = 10
"""httpx2 probes each idle connection before each request; with 100 connections that takes a millisecond."""

_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_FIX_OR_UNSET = Advice("The operator fixes or unsets it.", "Fix or unset it.")


def client_factory(settings: Settings) -> Callable[[int], httpx2.AsyncClient]:
    """Return a function that creates a client with a given number of connections.

    The clients do not follow redirects, keep no cookies, do not read ``.netrc``, and have no timeouts: the look-up's
    deadline covers everything.

    Raises:
        NotConfigured: A proxy setting or a certificate file can't be used.
    """
    over_tls = settings.base_url.startswith("https:")
    try:
        # Plain http is for loopback only and needs no certificates: loading them would take 30 ms of the first call.
        tls = httpx2.create_ssl_context() if over_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except OSError as error:
        raise NotConfigured(
            "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded "
            f"({error.strerror or 'not PEM'}).",
            _FIX_OR_UNSET,
        ) from None
    proxy = _proxy(settings)

    def client(connections: int) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            verify=tls,
            timeout=None,
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=30
            ),
            proxy=proxy,
            trust_env=False,  # the supported variables are read in this module
        )

    return client


def proxy_setting(settings: Settings) -> str | None:
    """Return the name of the setting whose proxy is used for the API, or ``None`` if no proxy is used.

    For an API on loopback no proxy is used: in a test, the proxy of ``HTTP_PROXY`` received the key that way.
    """
    url = httpx2.URL(settings.base_url)
    if settings.base_url_is_loopback or proxy_bypass(f"{url.host}:{url.port or 443}") or not _system_proxy_url():
        return None
    return next((name for name in _PROXIES if os.environ.get(name)), "the system's proxy setting")


def _system_proxy_url() -> str | None:
    proxies = getproxies()
    return proxies.get("https") or proxies.get("all")


def _proxy(settings: Settings) -> httpx2.Proxy | None:
    name, url = proxy_setting(settings), _system_proxy_url()
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


def transport_error(error: httpx2.RequestError, proxy: str | None) -> CallersError:
    """Return the error for a failed connection; ``proxy`` is the name of the setting that a proxy was taken from."""
    causes = list(_causes(error))
    setting = proxy or variable("base_url")
    advice = Advice(
        f"Trying again may help; if it goes on, the operator checks the network and {setting}.",
        f"Trying again may help; if it goes on, check the network and {setting}.",
    )
    endpoint = f"proxy that {proxy} names" if proxy else "Callers API"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable(
            "The Callers API's certificate could not be verified, so no key was sent",
            Advice(
                f"Trying again will not help: the operator checks {variable('base_url')}, or names the authority in "
                "SSL_CERT_FILE.",
                f"Check {variable('base_url')}, or name the authority in SSL_CERT_FILE.",
            ),
            transient=False,
        )
    if isinstance(error, httpx2.ProxyError):
        return Unreachable(
            f"The {endpoint} did not let the request through",
            Advice(f"Trying again will probably not help: the operator checks {proxy}.", f"Check {proxy}."),
            transient=False,
        )
    if isinstance(error, httpx2.DecodingError):
        return UnexpectedResponse(
            "The API's answer is compressed in a way that could not be read.",
            Advice(f"The operator checks {variable('base_url')}.", f"Check {variable('base_url')}."),
        )
    if isinstance(error, httpx2.RemoteProtocolError) and not _is_lost_connection(str(error)):
        return UnexpectedResponse(
            f"What answers at {variable('base_url')} does not speak HTTP.",
            Advice("The operator checks the base URL.", "Check the base URL."),
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        problem = f"The name of the {endpoint} could not be resolved"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        problem = f"The connection to the {endpoint} was refused"
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        problem = "No secure connection (TLS) to the Callers API could be made"
    elif isinstance(error, httpx2.ConnectError):
        problem = f"No connection to the {endpoint} could be made"
    else:
        problem = "The connection to the Callers API was reset before the answer was complete"
    return Unreachable(problem, advice)


def _is_lost_connection(text: str) -> bool:
    # h11 and httpcore2 raise one type for a closed connection and for bytes that are not HTTP; only the texts differ.
    return "disconnected" in text or "closed connection" in text


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in seen:
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, *getattr(cause, "exceptions", ())]


class ConnectionPool:
    """Sends requests to the API; connections are opened when they are needed."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        limit = settings.max_connections
        self._client_sizes = [
            min(_CONNECTIONS_PER_CLIENT, limit - used) for used in range(0, limit, _CONNECTIONS_PER_CLIENT)
        ]
        self._in_use = [0] * len(self._client_sizes)
        self._clients: list[httpx2.AsyncClient] = []
        self._new_client: Callable[[int], httpx2.AsyncClient] | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.aclose()

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
        index = self._least_loaded()
        self._in_use[index] += 1
        started = time.perf_counter()
        try:
            return await self._get(self._client(index), path, headers, limited_by)
        finally:
            self._in_use[index] -= 1
            self._observer.on_api_request(time.perf_counter() - started)

    def _least_loaded(self) -> int:
        """Return the index of the first client with a free connection, to keep few open, or of the least busy one."""
        for index, (busy, size) in enumerate(zip(self._in_use, self._client_sizes, strict=True)):
            if busy < size:
                return index
        return min(range(len(self._in_use)), key=lambda index: self._in_use[index] / self._client_sizes[index])

    def _client(self, index: int) -> httpx2.AsyncClient:
        if self._new_client is None:
            self._new_client = client_factory(self._settings)
        while len(self._clients) <= index:
            self._clients.append(self._new_client(self._client_sizes[len(self._clients)]))
        return self._clients[index]

    async def _get(
        self, client: httpx2.AsyncClient, path: str, headers: Mapping[str, str], limited_by: str
    ) -> RawResponse:
        limit: int = getattr(self._settings, limited_by)
        chunks, size = [], 0
        request = httpx2.Request("GET", self._settings.base_url + path, headers={**HEADERS, **headers})
        try:
            async with aclosing(await client.send(request, stream=True)) as response:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > limit:
                        if not response.is_success:
                            break  # the status is enough
                        raise UnexpectedResponse(
                            f"The API's answer is larger than {limit} bytes, so it was not read.",
                            Advice(
                                f"The operator may raise {variable(limited_by)}.",
                                f"You can raise {variable(limited_by)}.",
                            ),
                            http_status=response.status_code,
                        )
                    chunks.append(chunk)
                return RawResponse(response.status_code, response.headers, b"".join(chunks))
        except httpx2.RequestError as error:
            logger.debug("request to %s failed: %s", path, type(error).__name__)
            raise transport_error(error, proxy_setting(self._settings)) from None
