"""Connections to the API: proxies, and which certificates are trusted."""

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, found, look_up, told

REMOTE = "campaigns.invalid"
PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[FaultServer]:
    """The API over TLS, under several names."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "0.0.0.0", REMOTE).configure_cert(tls)
    with FaultServer(fault.answer(campaign()), tls=tls) as server:
        yield server


@pytest.fixture
def proxy(secure: FaultServer) -> Iterator[FaultServer]:
    """A proxy that connects every name to the API."""
    with FaultServer(fault.tunnel(secure.port)) as server:
        yield server


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator names the test's authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.mark.usefixtures("trusted")
async def test_an_authority_that_ssl_cert_file_names_is_trusted(secure: FaultServer) -> None:
    found(await look_up(secure))
    assert secure.requests[0].values("authorization") == [KEY]


@pytest.mark.usefixtures("trusted")
async def test_a_scheme_in_capitals_is_accepted_as_https(secure: FaultServer) -> None:
    found(await look_up(secure.base_url.replace("https", "HTTPS")))


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name_gets_no_key(secure: FaultServer) -> None:
    result = await look_up(secure.base_url.replace("localhost", "127.0.0.1"))
    assert failure(result)["kind"] == "unreachable"
    assert "certificate" in told(result)
    assert secure.requests == []


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "no-pem"])
async def test_an_ssl_cert_file_that_cannot_be_loaded_is_named(
    secure: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    named = tmp_path / "ca.pem"
    if content is not None:
        named.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    result = await look_up(secure)
    assert failure(result)["kind"] == "not_configured"
    assert "SSL_CERT_FILE" in told(result)
    assert secure.connections == 0


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_request_to_this_machine_never_uses_a_proxy(
    secure: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    for variable in PROXIES:
        monkeypatch.setenv(variable, proxy.base_url)
    with FaultServer(fault.answer(campaign())) as plain:
        found(await look_up(secure if scheme == "https" else plain))
    assert proxy.connections == 0


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_remote_api_is_reached_through_the_proxy_which_never_sees_the_key(
    secure: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    (tmp_path / ".netrc").write_text(f"machine {REMOTE} login someone password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, proxy.base_url.replace("http://", "http://operator:proxypass@"))
    found(await look_up(f"https://{REMOTE}"))
    (connect,) = proxy.requests
    assert (connect.method, connect.target) == ("CONNECT", f"{REMOTE}:443")
    assert connect.values("authorization") == []
    assert len(connect.values("proxy-authorization")) == 1
    assert KEY.encode() not in connect.head
    (request,) = secure.requests
    assert request.target == f"/campaigns/{ID}"
    assert request.values("authorization") == [KEY]
    assert request.values("proxy-authorization") == []


@pytest.mark.skipif(sys.platform == "win32", reason="0.0.0.0 leads to this machine only on POSIX")
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("no_proxy", "passes"), [("0.0.0.0", 0), ("*", 0), ("other.example", 1), ("", 1)])
async def test_no_proxy_is_honoured(
    secure: FaultServer, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str, passes: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found(await look_up(f"https://0.0.0.0:{secure.port}"))
    assert len(proxy.requests) == passes


async def test_a_proxy_that_refuses_is_named_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(fault.answer(b"proxypass", 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url.replace("http://", "http://operator:proxypass@"))
        result = await look_up(f"https://{REMOTE}", max_attempts=3)
    assert failure(result)["kind"] == "unreachable"
    assert "proxy" in told(result)
    assert "proxypass" not in told(result)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "ftp://operator:proxypass@proxy.example:21"),
        ("https_proxy", "socks9://operator:proxypass@proxy.example"),
        ("ALL_PROXY", "http://operator:proxypass@proxy.example:port"),
        ("HTTPS_PROXY", "operator:proxypass@[::1"),
    ],
)
async def test_a_proxy_setting_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = await look_up(f"https://{REMOTE}")
    assert failure(result)["kind"] == "not_configured"
    assert variable in told(result)
    assert "proxypass" not in told(result)
