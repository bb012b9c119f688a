"""Connections to the API: proxies, and which certificates are trusted."""

import json
import ssl
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
import trustme

from callers_mcp import CallersClient
from callers_mcp.api.errors import Unreachable
from callers_mcp.api.transport import proxy_setting
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.certificates import Certificate, certificate
from tests.support.concurrency import Notes, at_once
from tests.support.constants import ID, KEY
from tests.support.fault_server import Behaviour, Exchange, FaultServer
from tests.support.lookups import call, connect, failure, found, look_up, told
from tests.support.stand_in_api import KNOWN, api_client

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


ROOT = certificate("root", is_authority=True)
EXPIRED_ROOT = certificate("root", is_authority=True, is_expired=True)
NO_AUTHORITY = certificate("not an authority")
ANOTHER = certificate("another", is_authority=True)
EXPIRED = certificate("itself", is_expired=True)
EARLY = certificate("itself", is_early=True)


@pytest.mark.parametrize(
    ("shown", "named", "reason", "is_named_one"),
    [
        (certificate("server", issuer=ROOT), ANOTHER, "unable to get local issuer certificate", False),
        (certificate("server", issuer=ROOT, is_expired=True), ROOT, "certificate has expired", False),
        (certificate("server", issuer=EXPIRED_ROOT), EXPIRED_ROOT, "certificate has expired", True),
        (certificate("server", issuer=NO_AUTHORITY), NO_AUTHORITY, "invalid CA certificate", True),
        (EXPIRED, EXPIRED, "certificate has expired", True),
        (EARLY, EARLY, "certificate is not yet valid", True),
    ],
    ids=["another authority", "expired", "expired authority", "not an authority", "itself, expired", "itself, early"],
)
async def test_a_refused_certificate_is_told_with_the_reason_and_whether_ssl_cert_file_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shown: Certificate,
    named: Certificate,
    reason: str,
    is_named_one: bool,
) -> None:
    (tmp_path / "ca.pem").write_bytes(named.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with FaultServer(fault.answer(campaign()), tls=shown.context(tmp_path)) as server:
        result = await look_up(server)
    assert failure(result)["kind"] == "unreachable"
    assert f"could not be verified ({reason}" in told(result)  # OpenSSL 3.5 adds to it
    assert "so no key was sent" in told(result)
    assert ("that was refused is one that SSL_CERT_FILE names" in told(result)) == is_named_one


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


@pytest.mark.parametrize(("port", "setting"), [(443, None), (444, "HTTPS_PROXY")])
def test_no_proxy_may_name_the_port_of_https(monkeypatch: pytest.MonkeyPatch, port: int, setting: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", f"api.example:{port}")
    assert proxy_setting("https://api.example") == setting


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


class ClosesKept:
    """Answers the first request of each connection, when ``count`` came together, and resets it at the second."""

    def __init__(self, count: int, after: Behaviour = KNOWN) -> None:
        self._kept: set[object] = set()
        self._first, self._after = fault.together(count, lambda request: campaign()), after
        self._count = count

    def __call__(self, exchange: Exchange) -> None:
        if exchange.connection in self._kept:
            exchange.reset()
        elif len(self._kept) < self._count:
            self._kept.add(exchange.connection)
            self._first(exchange)
        else:
            self._after(exchange)


async def open_connections(client: CallersClient, count: int) -> None:
    ids = [f"{number:024x}" for number in range(count)]
    await at_once(*[partial(client.get_campaign, campaign_id) for campaign_id in ids])


async def test_after_the_api_closed_its_kept_connections_a_look_up_uses_a_new_one_within_one_attempt() -> None:
    notes = Notes()
    with FaultServer(ClosesKept(20)) as server:
        async with api_client(server, notes, max_attempts=1) as client:
            await open_connections(client, 20)
            for _ in range(3):
                await client.get_campaign(ID)
        assert server.connections == 21, "the other closed ones were not tried"
        assert len(server.requests) == 20 + 1 + 3
    assert [look_up.attempts for look_up in notes.look_ups] == [1] * 23


async def test_look_ups_that_meet_closed_connections_at_the_same_moment_all_succeed() -> None:
    with FaultServer(ClosesKept(20)) as server:
        async with api_client(server, max_attempts=1) as client:
            await open_connections(client, 20)
            campaigns = [partial(client.get_campaign, f"{number:024x}") for number in range(30)]
            found_all = await at_once(*campaigns)
    assert [document.content["id"] for document in found_all] == [ID] * 30


async def test_a_new_connection_that_fails_after_a_kept_one_is_a_failed_attempt() -> None:
    with FaultServer(ClosesKept(1, after=fault.reset_at_once)) as server:
        async with api_client(server, max_attempts=1) as client:
            await open_connections(client, 1)
            with pytest.raises(Unreachable, match="1 attempt"):
                await client.get_campaign(ID)
        assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_running_out_of_file_descriptors_is_said_as_such() -> None:
    import resource

    with FaultServer(KNOWN) as first, FaultServer(KNOWN) as server:
        found(await look_up(first))  # loads what a look-up needs
        async with connect(server) as client:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            try:
                result = await call(client)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert failure(result)["kind"] == "unreachable"
            assert "too many open files" in told(result)
            assert "limit of open files (ulimit -n)" in told(result)
            found(await call(client))


@pytest.mark.slow
async def test_other_calls_run_between_tiny_chunks_of_an_answer() -> None:
    body = b" " * 20_000 + json.dumps(campaign()).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    turns, done = 0, False

    async def take_turns() -> None:
        nonlocal turns
        while not done:
            await anyio.lowlevel.checkpoint()
            turns += 1

    with FaultServer(fault.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as server:
        async with api_client(server) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(take_turns)
            assert (await client.get_campaign(ID)).content == campaign()
            done = True
    assert turns >= len(body)
