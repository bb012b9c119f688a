"""The files for hosting work: the site in the real nginx, the unit by systemd, the settings in our own reading."""

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from callers_mcp import Settings
from callers_mcp.access import UNRESTRICTED
from callers_mcp.api.key import KeySource
from callers_mcp.http import middleware
from callers_mcp.http.auth import token_store
from callers_mcp.http.runtime import process, protocol
from callers_mcp.http.settings import HostingSettings
from tests.load.rolling_restart import HELD, NAME, Site, Stack, nginx, roll, stack, until
from tests.support.constants import ID, KEY, PATIENCE
from tests.support.fault_server import FaultServer, answer, error, silent

FILES = Path(__file__).parents[2] / "examples/hosting"
UNIT = FILES / "callers-mcp@.service"
INSTALLED = "/opt/callers-mcp/bin/callers-mcp"

needs_nginx = pytest.mark.skipif(nginx() is None, reason="nginx is not installed")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def backend() -> Iterator[FaultServer]:
    with FaultServer(answer({"ok": True})) as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, backend: FaultServer) -> Iterator[Site]:
    """The site in front of something that answers to everything."""
    with Site(tmp_path_factory.mktemp("site"), [backend.port, backend.port]) as site:
        yield site


@pytest.fixture(scope="module")
def impatient_site(tmp_path_factory: pytest.TempPathFactory, backend: FaultServer) -> Iterator[Site]:
    """The same with short time limits, and one call at once from an address."""
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
    """The site in front of two real instances that are ready, whatever the last test did to them."""
    dead = [instance for instance in started.instances if not instance.is_alive]
    for instance in dead:
        instance.start()
    for instance in dead:
        instance.wait_until_ready()
    started.api.release.clear()
    return started


@needs_nginx
def test_nginx_has_nothing_to_object_to(site: Site) -> None:
    tested = subprocess.run([*site.command, "-t"], capture_output=True, text=True, timeout=PATIENCE)
    assert tested.returncode == 0
    assert len(tested.stderr.splitlines()) == 2, tested.stderr  # "syntax is ok", "test is successful", and no warning


@needs_nginx
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mcp", 200),
        ("/.well-known/oauth-protected-resource", 200),
        ("/.well-known/oauth-protected-resource/mcp", 200),
        ("/healthz", 200),
        *((path, 404) for path in ("/", "/readyz", "/metrics", "/mcp/x", "/.well-known/", "/mcp%2f..%2freadyz")),
    ],
)
async def test_the_site_passes_what_callers_need_and_nothing_else(
    site: Site, backend: FaultServer, path: str, status: int
) -> None:
    backend.script(answer({"ok": True}))
    async with site.client() as client:
        assert (await client.get(path)).status_code == status
    assert [request.target for request in backend.requests] == ([path] if status == 200 else [])


@needs_nginx
async def test_what_a_client_says_of_the_way_it_came_is_not_passed_on(site: Site, backend: FaultServer) -> None:
    backend.script(answer({"ok": True}))
    names = ("Forwarded", "Via", "X-Real-IP", *(f"X-Forwarded-{of}" for of in ("For", "Proto", "Host", "Port")))
    async with site.client(headers={"Authorization": "Bearer x", **dict.fromkeys(names, "203.0.113.9")}) as client:
        await client.get("/mcp")
    (request,) = backend.requests
    assert b"203.0.113.9" not in request.head
    assert request.values("x-forwarded-for") == ["127.0.0.1"]
    assert request.values("x-forwarded-proto") == ["https"]
    assert request.values("host") == ["localhost"]
    assert request.values("authorization") == ["Bearer x"]


START = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"


@needs_nginx
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
def test_a_flood_is_answered_by_the_site_and_reaches_no_instance(
    site: Site, backend: FaultServer, sent: bytes, status: int
) -> None:
    backend.script(answer({"ok": True}))
    with connect(site) as sender:
        with suppress(OSError):  # the answer may be there before all is sent
            sender.sendall(sent)
        assert sender.recv(65_536).startswith(b"HTTP/1.1 %d " % status)
    assert backend.requests == []


@needs_nginx
@pytest.mark.parametrize(
    ("sent", "drip"),
    [(b"", b""), (START + b"X: ", b"x"), (START + b"Content-Length: 10\r\n\r\nx", b"")],
    ids=["silence", "a head byte by byte", "no end of the body"],
)
def test_a_slow_sender_is_ended_by_the_site_and_reaches_no_instance(
    impatient_site: Site, backend: FaultServer, sent: bytes, drip: bytes
) -> None:
    backend.script(answer({"ok": True}))
    with connect(impatient_site) as sender:
        sender.sendall(sent)
        sender.settimeout(0.05)
        deadline, ended = time.monotonic() + PATIENCE, False
        while not ended:
            assert time.monotonic() < deadline
            try:
                sender.sendall(drip)
                ended = not sender.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                ended = True
    assert backend.requests == []


@needs_nginx
async def test_one_address_has_no_more_calls_at_once_than_the_site_says(
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


@needs_nginx
async def test_an_agent_looks_a_campaign_up_through_the_site(hosted: Stack) -> None:
    token = {"Authorization": f"Bearer {hosted.token}"}
    async with hosted.site.client(headers=token) as http:
        async with Client(streamable_http_client(f"{hosted.site.url}/mcp", http_client=http)) as client:
            result = await client.call_tool("get_campaign", {"campaign_id": ID})
        assert result.structured_content
        assert result.structured_content["summary"]["name"] == f"Campaign {ID}"
        assert (await http.post("/mcp", headers={"Host": "elsewhere.example"}, json={})).status_code == 421
        assert (await http.get("/mcp", headers={"Authorization": ""})).status_code == 401


@needs_nginx
async def test_a_client_that_leaves_the_site_cancels_its_call(hosted: Stack) -> None:
    held = f"{HELD}{0:020x}"
    async with hosted.site.client() as client, anyio.create_task_group() as group:
        group.start_soon(hosted.call, client, held)
        await until(lambda: hosted.api.asked(held) == 1)
        group.cancel_scope.cancel()
    await until(lambda: held in hosted.api.left)  # long before the call's deadline would end it


@needs_nginx
async def test_a_rolling_restart_under_load_fails_no_call(hosted: Stack) -> None:
    figures = await roll(hosted, clients=4)
    assert figures.failures == []
    assert figures.exit_codes == {0: 2}


@needs_nginx
async def test_a_call_in_an_instance_that_is_killed_is_answered_by_the_other(hosted: Stack) -> None:
    held = [f"{HELD}{number:020x}" for number in (1, 2)]
    failures: list[str | None] = []

    async def call(client: httpx2.AsyncClient, campaign_id: str) -> None:
        failures.append(await hosted.call(client, campaign_id))

    async with hosted.site.client() as client, anyio.create_task_group() as group:
        for campaign_id in held:  # each goes to the instance that has less to do
            group.start_soon(call, client, campaign_id)
            await until(lambda: hosted.api.asked(campaign_id) == 1)  # noqa: B023
        hosted.instances[0].end(signal.SIGKILL)
        await until(lambda: sum(map(hosted.api.asked, held)) == 3)
        hosted.api.release.set()
    assert failures == [None, None]


@needs_systemd
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert f"ExecStart={INSTALLED} " in text
    text = text.replace(INSTALLED, sys.executable)  # it has to be there
    unit.write_text(text)
    verified = systemd_analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = systemd_analyze("security", "--offline=true", "--threshold=15", str(unit))
    if "offline" in rated.stderr:
        pytest.skip("this systemd can't rate a unit that is not loaded")
    assert rated.returncode == 0, rated.stdout  # an exposure of at most 1.5 of 10


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


@needs_curl
def test_a_start_is_done_when_the_instance_is_ready_and_has_failed_when_it_has_ended() -> None:
    (line,) = directives("ExecStartPost")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with FaultServer(error(503)) as instance:
        command = shlex.split(line.replace("%i", str(instance.port)))
        for main_process, behaviours, code in (
            (os.getpid(), [error(503), answer({"ready": True})], 0),
            (ended.pid, [error(503)], 1),
        ):
            instance.script(*behaviours)
            waited = subprocess.run(command, env={**os.environ, "MAINPID": str(main_process)}, timeout=PATIENCE)
            assert waited.returncode == code
            assert [request.target for request in instance.requests] == ["/readyz"] * len(behaviours)


@pytest.mark.parametrize("lines", ["those it sets", "all of them"])
def test_the_environment_file_and_the_unit_configure_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    (tmp_path / "api-key").write_text(KEY)
    token_file = tmp_path / "tokens.json"
    token_store.add(token_file, "support", UNRESTRICTED)
    given = environment(comments=lines == "all of them")
    assert given["CALLERS_HTTP_AUTH"] == "tokens"
    if lines == "all of them":
        given["CALLERS_HTTP_AUTH"] = "tokens,oauth"
    assert {line.partition(":")[0] for line in directives("LoadCredential")} == {"api-key"}
    (of_unit,) = directives("Environment")
    name, _, value = of_unit.partition("=")
    given |= {"CALLERS_HTTP_TOKEN_FILE": str(token_file), name: value.replace("%d", str(tmp_path))}
    for variable, content in given.items():
        monkeypatch.setenv(variable, content)
    settings = Settings.from_environment()
    hosting = HostingSettings.from_environment(host="127.0.0.1", port=8001)
    assert settings.notices == ()  # such as of a variable that is no setting
    assert KeySource(settings).current() == KEY
    assert hosting.token_file
    assert len(token_store.read(hosting.token_file)) == 1
    assert "callers.example.com" in hosting.known_hosts


def test_the_numbers_of_the_three_files_and_of_the_server_agree() -> None:
    given = environment()
    timeout, drain = float(given["CALLERS_TIMEOUT"]), float(given["CALLERS_HTTP_DRAIN_SECONDS"])
    (stops_within,) = directives("TimeoutStopSec")
    assert float(stops_within) >= drain + timeout + 10
    assert float(of_site("proxy_read_timeout (.+)s")) > timeout
    assert float(of_site("keepalive 64;\n *keepalive_timeout (.+)s")) < process.KEEP_ALIVE_SECONDS
    assert 1024 * int(of_site("client_max_body_size (.+)k")) == middleware.MAX_REQUEST_BYTES
    count, size = of_site("large_client_header_buffers (.+)k").split()
    assert 1024 * int(count) * int(size) == protocol.MAX_HEAD_BYTES
    assert given["CALLERS_HTTP_PUBLIC_URL"] == f"https://{of_site('server_name (.+)')}/mcp"
    (credential,) = directives("LogsDirectory")
    assert Path(given["CALLERS_HTTP_AUDIT_FILE"]).parent == Path("/var/log", credential)


def environment(*, comments: bool = False) -> dict[str, str]:
    """Return what the environment file sets; with ``comments`` also what it would set without its comment signs."""
    pattern = r"#?(CALLERS_\w+)=(.*)" if comments else r"(CALLERS_\w+)=(.*)"
    lines = (FILES / "environment").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := re.fullmatch(pattern, line))}


def directives(name: str) -> list[str]:
    """Return the values of a directive of the unit."""
    text = UNIT.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def of_site(pattern: str) -> str:
    (value,) = re.findall(rf"^ *{pattern};", (FILES / "nginx.conf").read_text(), re.MULTILINE)
    return str(value)
