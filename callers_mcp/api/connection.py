"""How the API is reached: proxy, TLS, connection pool; and what a connection that fails is called."""

import os
import socket
import ssl
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from callers_mcp import __version__
from callers_mcp.api.errors import CallersError, NotConfigured, UnexpectedResponse, Unreachable
from callers_mcp.settings import Settings, variable

HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"callers-mcp/{__version__}",
}
"""What each request carries beside the key and the place."""

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


def create_http_client(settings: Settings) -> httpx2.AsyncClient:
    """Make the one pooled client.

    It follows no redirect, keeps no cookie, reads no ``.netrc`` and has no timeouts of its own: the look-up's deadline
    covers them all. To an API on loopback no proxy applies, as ``HTTP_PROXY`` would be given the key.

    Raises:
        NotConfigured: A proxy setting or a certificate file can't be used.
    """
    over_tls = settings.base_url.startswith("https:")
    try:
        # Plain http, which is loopback alone, needs no certificates: loading them would cost the first call 30 ms.
        tls = httpx2.create_ssl_context() if over_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except OSError as error:
        raise NotConfigured(
            "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded "
            f"({error.strerror or 'not PEM'}). The operator mends or unsets it."
        ) from None
    try:
        return httpx2.AsyncClient(
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            verify=tls,
            timeout=None,
            limits=httpx2.Limits(
                max_connections=settings.max_connections,
                max_keepalive_connections=settings.max_connections,
                keepalive_expiry=30,
            ),
            trust_env=not settings.base_url_is_loopback,
        )
    except (ValueError, ImportError, httpx2.InvalidURL):
        named = " or ".join(_unusable_proxies()) or "The system's proxy setting"
        raise NotConfigured(
            f"{named} can't be used as a proxy: it takes a URL such as http://host:port. The operator mends or unsets "
            "it."
        ) from None


def proxy_variables() -> list[str]:
    """Return the names of the environment's proxy variables that are set."""
    return [name for name in _PROXIES if os.environ.get(name)]


def _unusable_proxies() -> Iterator[str]:
    for name in proxy_variables():
        value = os.environ[name]
        try:
            httpx2.AsyncHTTPTransport(
                proxy=httpx2.Proxy(value if "://" in value else f"http://{value}"),
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except (ValueError, ImportError, httpx2.InvalidURL):
            yield name


def transport_error(error: httpx2.RequestError) -> CallersError:
    """Say in our words what went wrong between us and the API."""
    causes = list(_causes(error))
    advice = "Trying again may help; if it goes on, the operator checks the network and " + variable("base_url") + "."
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable(
            "The Callers API's certificate could not be verified, so no key was sent",
            f"Trying again will not help: the operator checks {variable('base_url')}, or names the authority in "
            "SSL_CERT_FILE.",
            transient=False,
        )
    if isinstance(error, httpx2.ProxyError):
        return Unreachable(
            "The proxy did not let the request to the Callers API through",
            "The operator checks the proxy settings.",
            transient=False,
        )
    if isinstance(error, httpx2.DecodingError):
        return UnexpectedResponse("The API's answer is compressed in a way that could not be read.")
    if isinstance(error, httpx2.RemoteProtocolError) and not _broke_off(str(error)):
        return UnexpectedResponse(
            f"What answers at {variable('base_url')} does not speak HTTP. The operator checks the base URL."
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        what = "The Callers API's name could not be resolved"
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        what = "The connection to the Callers API was refused"
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        what = "No secure connection (TLS) to the Callers API could be made"
    elif isinstance(error, httpx2.ConnectError):
        what = "No connection to the Callers API could be made"
    else:
        what = "The connection to the Callers API was reset before the answer was whole"
    return Unreachable(what, advice)


def _broke_off(text: str) -> bool:
    # h11 and httpcore2 have one type for a peer that leaves and one that talks nonsense; their texts differ.
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
