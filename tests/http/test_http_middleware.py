"""The front door of ``callers-mcp http``: every host gets in, in every version, and nobody else."""

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from mcp import Client

from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import (
    HANDSHAKES,
    LATEST,
    VERSIONS,
    Hold,
    Hosted,
    campaign_id,
    echo,
    look_up,
    message,
    the_id,
    until,
)
from tests.support.lookups import call, found

MAX_CALLS = 3


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


@pytest.fixture(scope="module")
def shared(api: FaultServer) -> Iterator[Hosted]:
    environment = {
        "CALLERS_BASE_URL": api.base_url,
        "CALLERS_API_KEY": KEY,
        "CALLERS_HTTP_MAX_CALLS": str(MAX_CALLS),
    }
    with Hosted(environment=environment) as server:
        yield server
        code, errors = server.end()
    assert code == 0
    assert "Traceback" not in errors
    assert KEY not in errors


@pytest.fixture
def server(shared: Hosted, api: FaultServer) -> Hosted:
    """The shared server, in front of an API that answers at once."""
    api.script(echo)
    return shared


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_sdks_own_client_lists_and_calls_in_every_version(
    server: Hosted, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", version)  # it offers no choice of handshake
    async with Client(server.url, mode=LATEST if version == LATEST else "legacy") as client:
        assert client.protocol_version == version
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "get_campaign"
        assert found(await call(client))["id"] == ID


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_is_json_without_a_session_and_private(server: Hosted, version: str) -> None:
    hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    requests = [message("tools/list", version=version), look_up(ID, version=version)]
    if version == LATEST:
        requests.append(message("server/discover", version=version))
    else:
        requests.append(message("initialize", hello))
    for content, headers in requests:
        answer = server.post(content, **headers)
        assert answer.result
        assert answer.headers["content-type"] == "application/json"
        assert "mcp-session-id" not in answer.headers
        assert answer.result.get("cacheScope", "private") == "private"
        if content["method"] == "tools/list" and version == LATEST:
            assert (answer.result["ttlMs"], answer.result["cacheScope"]) == (3_600_000, "private")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "PATCH", "OPTIONS"])
def test_the_endpoint_takes_post_alone_and_pushes_nothing(server: Hosted, method: str) -> None:
    answer = server.ask(method, "/mcp", Accept="text/event-stream")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_there_is_nothing_to_subscribe_to(server: Hosted) -> None:
    content, headers = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, version=LATEST)
    assert server.post(content, **headers).status == 404


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "localhost"}, 200),  # on port 80 clients say no more
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8000"}, 421),
        ({"Host": "localhost.evil.example:8000"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://localhost:6274"}, 200),
        ({"Origin": "http://[::1]:6274"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_a_page_that_rebinds_its_name_to_loopback_is_refused(
    server: Hosted, version: str, headers: dict[str, str], status: int
) -> None:
    content, routing = message("tools/list", version=version)
    assert server.post(content, **routing | headers).status == status


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Real_IP", "Via", "x_forwarded_x"],
)
def test_without_a_word_about_authentication_no_proxy_may_lead_to_it(
    server: Hosted, api: FaultServer, name: str
) -> None:
    answer = server.call(ID, **{name: "10.0.0.1"})
    assert answer.status == 403
    assert "CALLERS_HTTP_AUTH" in answer.content["error_description"]
    assert api.requests == []


@pytest.mark.parametrize(
    ("path", "status"), [("/mcp/", 200), ("/mcp?x=1", 200), ("/", 404), ("/mcp/x", 404), ("/MCP", 404)]
)
def test_only_the_endpoint_is_served(server: Hosted, path: str, status: int) -> None:
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    with server.door() as door:
        door.send(door.head("POST", path, Content_Length=str(len(body)), **headers) + body)
        answer = door.answer()
    assert answer.status == status
    assert status == 200 or "the MCP endpoint is /mcp" in answer.content["error"]["message"]


@pytest.mark.parametrize(("path", "content"), [("/healthz", {"alive": True}), ("/readyz", {"ready": True})])
def test_health_and_readiness_are_open_to_whoever_asks(server: Hosted, path: str, content: object) -> None:
    answer = server.ask("GET", path, Host="10.0.0.1", X_Forwarded_For="10.0.0.2")  # as load balancers ask
    assert (answer.status, answer.content) == (200, content)
    assert server.ask("HEAD", path).status == 200


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\udfff"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"\\ud800":1}}',
        b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"ping"}',
        b"\xff\xfe",
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b"[" * 60_000,
        b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % (b"9" * 5000),
    ],
    ids=lambda body: body[:45].decode("latin-1"),
)
def test_what_makes_no_sense_is_the_clients_mistake_not_ours(server: Hosted, version: str, body: bytes) -> None:
    answer = server.post(body, MCP_Protocol_Version=version)
    assert answer.status == 400
    assert answer.content["id"] is None


def test_what_only_looks_like_half_a_character_is_taken(server: Hosted) -> None:
    body = b'{"jsonrpc":"2.0","id":"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\\ud800","method":"tools/list"}'
    assert server.post(body).content["id"] == "😀 😀 \\ud800"


def test_one_call_too_many_is_told_at_once_to_come_back_and_the_others_are_answered(
    server: Hosted, api: FaultServer
) -> None:
    hold = Hold()
    api.script(hold)
    doors = [server.begin(campaign_id(number)) for number in range(MAX_CALLS)]
    api.wait_for_requests(MAX_CALLS)
    refused = server.call(ID)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "try again" in refused.content["error"]["message"]
    assert server.ask("GET", "/readyz").status == 200
    hold.release.set()
    assert [the_id(door.answer()) for door in doors] == [campaign_id(number) for number in range(MAX_CALLS)]
    for door in doors:
        door.close()
    until(lambda: server.call(ID).status == 200, "the calls that were answered count no more")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_goes_away_cancels_its_call_and_leaves_nothing_behind(
    server: Hosted, api: FaultServer, version: str
) -> None:
    hold = Hold()
    api.script(hold)
    for number in range(MAX_CALLS + 2):  # more than could be under way, were one still counted
        door = server.begin(campaign_id(number), version)
        api.wait_for_requests(number + 1)
        door.close()
        until(lambda gone=number + 1: hold.left == gone, "the request to the API is closed")  # type: ignore[misc]


@pytest.mark.parametrize(("leaves", "stays"), [(0, 1), (1, 0)])
def test_a_client_that_goes_away_takes_no_identical_look_up_along(
    server: Hosted, api: FaultServer, leaves: int, stays: int
) -> None:
    hold = Hold()
    api.script(hold, echo)
    doors = [server.begin(ID, LATEST)]
    api.wait_for_requests(1)
    doors.append(server.begin(ID))
    assert the_id(server.call(campaign_id(1))) == campaign_id(1)  # so the second, sent before, is under way too
    doors[leaves].close()
    assert the_id(server.call(campaign_id(2))) == campaign_id(2)
    hold.release.set()
    assert the_id(doors[stays].answer()) == ID
    doors[stays].close()
    assert len(api.requests) == 3
    assert hold.left == 0


def test_it_speaks_tls_with_the_given_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    for part in certificate.cert_chain_pems:
        part.write_to_path(chain, append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Hosted("--sandbox", "--certfile", str(chain), "--keyfile", str(key)) as server:
        assert re.fullmatch(r"callers-mcp serves on https://127\.0\.0\.1:\d+/mcp", server.said[0])
        content, headers = message("tools/list")
        with server.door(context) as door:
            door.post(content, **headers)
            assert door.answer().result["tools"]
        with server.door() as plain:
            plain.post(content, **headers)
            assert plain.is_closed()
        assert server.end() == (0, "")
