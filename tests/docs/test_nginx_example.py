"""The example configuration of nginx works in the real nginx, in front of real instances."""

import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.load.rolling_restart import HELD, NAME, Site, Stack, nginx, roll, stack, until
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import FaultServer, answer, silent

pytestmark = [pytest.mark.parts, pytest.mark.skipif(nginx() is None, reason="nginx is not installed")]


@pytest.fixture(scope="module")
def backend() -> Iterator[FaultServer]:
    with FaultServer(answer({"ok": True})) as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, backend: FaultServer) -> Iterator[Site]:
    """nginx in front of a backend that answers every request."""
    with Site(tmp_path_factory.mktemp("site"), [backend.port, backend.port]) as site:
        yield site


@pytest.fixture(scope="module")
def impatient_site(tmp_path_factory: pytest.TempPathFactory, backend: FaultServer) -> Iterator[Site]:
    """The same with short time limits, and one simultaneous call per address."""
    limits = {
        "header_timeout 10s": "header_timeout 1s",
        "body_timeout 5s": "body_timeout 1s",
        "address 200;": "address 1;",
    }
    with Site(tmp_path_factory.mktemp("impatient"), [backend.port, backend.port], limits) as site:
        yield site


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("hosted"), CALLERS_HTTP_DRAIN_SECONDS="0.3") as started:
        yield started


@pytest.fixture
def hosted(started: Stack) -> Stack:
    """nginx in front of two real instances, both started again if a test stopped them."""
    dead = [instance for instance in started.instances if not instance.is_alive]
    for instance in dead:
        instance.start()
    for instance in dead:
        instance.wait_until_ready()
    started.api.release.clear()
    return started


def test_nginx_accepts_the_site_without_a_warning(site: Site) -> None:
    tested = subprocess.run([*site.command, "-t"], capture_output=True, text=True, timeout=PATIENCE)
    assert tested.returncode == 0
    assert len(tested.stderr.splitlines()) == 2, tested.stderr  # "syntax is ok", "test is successful", and no warning


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mcp", 200),
        ("/.well-known/oauth-protected-resource", 200),
        ("/.well-known/oauth-protected-resource/mcp", 200),
        ("/mcp/server-card", 200),
        ("/.well-known/ai-catalog.json", 200),
        ("/healthz", 200),
        *((path, 404) for path in ("/", "/readyz", "/metrics", "/mcp/x", "/.well-known/", "/mcp%2f..%2freadyz")),
    ],
)
async def test_the_site_forwards_the_paths_that_callers_need_and_no_other(
    site: Site, backend: FaultServer, path: str, status: int
) -> None:
    backend.script(answer({"ok": True}))
    async with site.client() as client:
        assert (await client.get(path)).status_code == status
    assert [request.target for request in backend.requests] == ([path] if status == 200 else [])


async def test_forwarding_headers_of_a_client_are_not_passed_on(site: Site, backend: FaultServer) -> None:
    backend.script(answer({"ok": True}))
    names = ("Forwarded", "Via", "X-Real-IP", *(f"X-Forwarded-{of}" for of in ("For", "Proto", "Host", "Port")))
    async with site.client(headers={"Authorization": "Bearer x", **dict.fromkeys(names, "203.0.113.9")}) as client:
        await client.get("/mcp")
    (request,) = backend.requests
    assert b"203.0.113.9" not in request.head
    assert request.values("x-forwarded-for") == ["127.0.0.1"]
    assert request.values("x-forwarded-proto") == ["https"]
    assert request.values("host")[0].startswith("localhost:")  # with the port
    assert request.values("authorization") == ["Bearer x"]


START = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (START + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(40)) + b"\r\n", 400),
        (START + b"X: " + b"x" * 20_000 + b"\r\n\r\n", 400),
        (START + b"Content-Length: 65537\r\n\r\n", 413),
        (START + b"Transfer-Encoding: chunked\r\n\r\n" + 17 * (b"1000\r\n" + b"x" * 4096 + b"\r\n"), 413),
    ],
    ids=["many headers", "long header", "large body", "large chunks"],
)
def test_a_request_over_a_size_limit_is_refused_by_the_site_and_reaches_no_instance(
    site: Site, backend: FaultServer, sent: bytes, status: int
) -> None:
    backend.script(answer({"ok": True}))
    with connect(site) as sender:
        with suppress(OSError):  # the site may answer before all is sent
            sender.sendall(sent)
        assert sender.recv(65_536).startswith(b"HTTP/1.1 %d " % status)
    assert backend.requests == []


@pytest.mark.parametrize(
    ("sent", "drip"),
    [(b"", b""), (START + b"X: ", b"x"), (START + b"Content-Length: 10\r\n\r\nx", b"")],
    ids=["nothing", "a head byte by byte", "an unfinished body"],
)
def test_a_slow_sender_is_disconnected_by_the_site_and_reaches_no_instance(
    impatient_site: Site, backend: FaultServer, sent: bytes, drip: bytes
) -> None:
    backend.script(answer({"ok": True}))
    with connect(impatient_site) as sender:
        sender.sendall(sent)
        sender.settimeout(0.05)
        deadline, is_disconnected = time.monotonic() + PATIENCE, False
        while not is_disconnected:
            assert time.monotonic() < deadline
            try:
                sender.sendall(drip)
                is_disconnected = not sender.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                is_disconnected = True
    assert backend.requests == []


async def test_the_site_limits_the_simultaneous_calls_from_one_address(
    impatient_site: Site, backend: FaultServer
) -> None:
    backend.script(silent)
    async with impatient_site.client() as client, anyio.create_task_group() as group:
        group.start_soon(client.get, "/mcp")
        await anyio.to_thread.run_sync(backend.wait_for_requests, 1)
        assert (await client.get("/mcp")).status_code == 429
        group.cancel_scope.cancel()


def connect(site: Site) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", site.port), PATIENCE)
    return site.trust.wrap_socket(connection, server_hostname=NAME)


async def test_an_agent_looks_up_a_campaign_through_the_site(hosted: Stack) -> None:
    token = {"Authorization": f"Bearer {hosted.token}"}
    async with hosted.site.client(headers=token) as http:
        async with Client(streamable_http_client(f"{hosted.site.url}/mcp", http_client=http)) as client:
            result = await client.call_tool("get_campaign", {"campaign_id": ID})
        assert result.structured_content
        assert result.structured_content["summary"]["name"] == f"Campaign {ID}"
        assert (await http.post("/mcp", headers={"Host": "elsewhere.example"}, json={})).status_code == 421
        assert (await http.get("/mcp", headers={"Authorization": ""})).status_code == 401


async def test_a_client_that_disconnects_from_the_site_cancels_its_call(hosted: Stack) -> None:
    held = f"{HELD}{0:020x}"
    async with hosted.site.client() as client, anyio.create_task_group() as group:
        group.start_soon(hosted.call, client, held)
        await until(lambda: hosted.api.asked(held) == 1)
        group.cancel_scope.cancel()
    await until(lambda: held in hosted.api.left)  # long before the call's deadline


async def test_a_rolling_restart_under_load_fails_no_call(hosted: Stack) -> None:
    figures = await roll(hosted, clients=4)
    assert figures.failures == []
    assert figures.exit_codes == {0: 2}


async def test_a_call_in_an_instance_that_is_killed_is_answered_by_the_other(hosted: Stack) -> None:
    held = [f"{HELD}{number:020x}" for number in (1, 2)]
    failures: list[str | None] = []

    async def call(client: httpx2.AsyncClient, campaign_id: str) -> None:
        failures.append(await hosted.call(client, campaign_id))

    async with hosted.site.client() as client, anyio.create_task_group() as group:
        for campaign_id in held:  # nginx sends each to the instance with fewer calls
            group.start_soon(call, client, campaign_id)
            await until(lambda: hosted.api.asked(campaign_id) == 1)  # noqa: B023
        hosted.instances[0].end(signal.SIGKILL)
        await until(lambda: sum(map(hosted.api.asked, held)) == 3)
        hosted.api.release.set()
    assert failures == [None, None]
