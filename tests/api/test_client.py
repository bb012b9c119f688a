"""What is sent to the API, where it is sent, and how much of an answer is read."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

import callers_mcp
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.lookups import call, connect, failure, found, look_up, told

LIMIT = 1024


@pytest.fixture
def servers() -> Iterator[tuple[FaultServer, FaultServer]]:
    """The API, and some other server."""
    with ExitStack() as stack:
        known = fault.answer(campaign())
        yield stack.enter_context(FaultServer(known)), stack.enter_context(FaultServer(known))


@pytest.fixture
def server(servers: tuple[FaultServer, FaultServer]) -> FaultServer:
    return servers[0]


def exactly(size: int) -> bytes:
    """Return a campaign of that many bytes."""
    empty = json.dumps({"id": ID, "name": ""})
    body = json.dumps({"id": ID, "name": "x" * (size - len(empty))}).encode()
    assert len(body) == size
    return body


async def test_the_api_gets_only_the_key_and_the_user_agent(server: FaultServer) -> None:
    found(await look_up(server))
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", f"/campaigns/{ID}")
    assert request.values("authorization") == [KEY]
    assert request.values("accept") == ["application/json"]
    assert request.values("user-agent") == [f"callers-mcp/{callers_mcp.__version__}"]
    assert set(request.values("accept-encoding")[0].split(", ")) <= {"gzip", "deflate"}
    assert request.values("cookie") == []
    assert request.head.count(KEY.encode()) == 1


async def test_the_path_of_the_base_url_is_kept(server: FaultServer) -> None:
    found(await look_up(f"{server.base_url}/callers/v1/"))
    assert server.requests[0].target == f"/callers/v1/campaigns/{ID}"


@pytest.mark.parametrize(
    ("named", "default", "sent"),
    [
        (None, None, []),
        (None, "sub-1", ["sub-1"]),
        ("sub-2", None, ["sub-2"]),
        ("sub-2", "sub-1", ["sub-2"]),
        ("main", "sub-1", []),
        ("Main", "sub-1", []),
        (" ", "sub-1", ["sub-1"]),
        (None, "main", []),
    ],
)
async def test_a_sub_organization_is_sent_only_where_one_applies(
    server: FaultServer, named: str | None, default: str | None, sent: list[str]
) -> None:
    result = await look_up(server, named, sub_organization_id=default)
    assert server.requests[0].values("x-sub-organization-id") == sent
    assert result.structured_content
    assert result.structured_content["summary"]["sub_organization_id"] == (sent[0] if sent else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed_so_that_the_key_stays_with_the_api(
    servers: tuple[FaultServer, FaultServer], status: int
) -> None:
    server, other = servers
    server.script(fault.redirect(status, f"{other.base_url}/campaigns/{ID}"))
    result = await look_up(server)
    assert failure(result)["kind"] == "unexpected_response"
    assert other.connections == 0
    assert len(server.requests) == 1


async def test_a_redirect_within_the_api_is_not_followed(server: FaultServer) -> None:
    server.script(fault.redirect(307, f"/campaigns/{ID}/"), fault.answer(campaign()))
    assert failure(await look_up(server))["http_status"] == 307
    assert len(server.requests) == 1


async def test_a_cookie_is_never_sent_back(server: FaultServer) -> None:
    server.script(fault.answer(campaign(), headers=[("Set-Cookie", "session=1; Path=/"), ("Set-Cookie", "b=2")]))
    async with connect(server) as client:
        found(await call(client))
        found(await call(client))
    assert [request.values("cookie") for request in server.requests] == [[], []]


async def test_the_connection_is_kept_for_the_next_call(server: FaultServer) -> None:
    async with connect(server) as client:
        for _ in range(3):
            found(await call(client))
    assert (len(server.requests), server.connections) == (3, 1)


async def test_a_netrc_never_replaces_the_key(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\ndefault login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    found(await look_up(server))
    assert server.requests[0].values("authorization") == [KEY]


def x_gzipped(body: bytes) -> Behaviour:
    return fault.answer(gzip.compress(body), headers=[("Content-Encoding", "X-GZip")])


def labelled(body: bytes) -> Behaviour:
    """Name something that is not a content coding, as servers do by mistake."""
    return fault.answer(body, headers=[("Content-Encoding", "utf-8")])


@pytest.mark.parametrize("pack", [fault.answer, fault.gzipped, x_gzipped, labelled])
async def test_an_answer_up_to_the_limit_is_read_and_one_byte_more_is_not(
    server: FaultServer, pack: Callable[[bytes], Behaviour]
) -> None:
    server.script(pack(exactly(LIMIT)), pack(exactly(LIMIT + 1)))
    async with connect(server, max_body_bytes=LIMIT) as client:
        assert len(found(await call(client))["name"]) > 900
        too_large = await call(client)
    assert failure(too_large)["kind"] == "unexpected_response"
    assert re.search(f"larger than {LIMIT} bytes.*CALLERS_MAX_BODY_BYTES", told(too_large))


async def test_the_limit_applies_to_the_decompressed_answer(server: FaultServer) -> None:
    assert len(gzip.compress(exactly(LIMIT * 2))) < LIMIT
    server.script(fault.gzipped(exactly(LIMIT * 2)))
    assert failure(await look_up(server, max_body_bytes=LIMIT))["kind"] == "unexpected_response"
    assert found(await look_up(server, max_body_bytes=LIMIT * 2))


@pytest.mark.parametrize("status", [200, 500])
async def test_reading_an_endless_answer_stops_at_the_limit(server: FaultServer, status: int) -> None:
    server.script(fault.endless(status), fault.answer(campaign()))
    async with connect(server, timeout=600, max_connections=1) as client:
        assert failure(await call(client))["http_status"] == status
        await anyio.to_thread.run_sync(server.wait_for_disconnect)
        found(await call(client))
