"""What ``callers-mcp http`` lets in: every host, in every version of the protocol, and nothing else."""

import codecs
import json
import re
from collections.abc import Iterator

import pytest
from mcp import Client

from tests.support.constants import ID, KEY
from tests.support.echo_api import Hold, campaign_id, echo, returned_id
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import HANDSHAKES, LATEST, VERSIONS, look_up, message
from tests.support.hosted_thread import HostedThread
from tests.support.http_connection import Answer
from tests.support.invalid_messages import INVALID_MESSAGES, expected_error
from tests.support.lookups import call, found
from tests.support.waiting import until

MAX_CALLS = 3


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


@pytest.fixture(scope="module")
def shared(api: FaultServer) -> Iterator[HostedThread]:
    environment = {
        "CALLERS_BASE_URL": api.base_url,
        "CALLERS_API_KEY": KEY,
        "CALLERS_HTTP_MAX_CALLS": str(MAX_CALLS),
        "CALLERS_TIMEOUT": "600",  # longer than any wait of a test: no call ends by its deadline
    }
    with HostedThread(environment=environment) as server:
        yield server
    assert server.exit_code == 0
    assert "Traceback" not in server.errors
    assert KEY not in server.errors


@pytest.fixture
def server(shared: HostedThread, api: FaultServer) -> HostedThread:
    """Return the shared server, in front of an API that answers at once."""
    api.script(echo)
    return shared


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_sdks_own_client_lists_and_calls_in_every_version(
    server: HostedThread, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", version)  # it offers no choice of handshake
    async with Client(server.url, mode=LATEST if version == LATEST else "legacy") as client:
        assert client.protocol_version == version
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "get_campaign"
        assert found(await call(client))["id"] == ID


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_is_json_without_a_session_and_private(server: HostedThread, version: str) -> None:
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
def test_the_endpoint_takes_only_post_and_pushes_nothing(server: HostedThread, method: str) -> None:
    answer = server.request(method, "/mcp", Accept="text/event-stream")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        refusal(answer, 405, "accepts only POST")


def test_there_is_nothing_to_subscribe_to(server: HostedThread) -> None:
    content, headers = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, version=LATEST)
    assert server.post(content, **headers).status == 404


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "LocalHost:1"}, 200),
        ({"Host": "localhost"}, 200),  # clients leave out port 80
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
    server: HostedThread, version: str, headers: dict[str, str], status: int
) -> None:
    content, routing = message("tools/list", version=version)
    answer = server.post(content, **routing | headers)
    if status == 200:
        assert answer.result
    else:
        refusal(answer, status, "Invalid Host header" if "Host" in headers else "Invalid Origin header")


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Real_IP", "Via", "x_forwarded_x"],
)
def test_a_forwarded_request_is_refused_unless_authentication_is_configured(
    server: HostedThread, api: FaultServer, name: str
) -> None:
    answer = server.look_up(ID, **{name: "10.0.0.1"})
    refusal(answer, 403, "CALLERS_HTTP_AUTH", error="forbidden")
    assert api.requests == []


@pytest.mark.parametrize(
    ("path", "status"), [("/mcp/", 200), ("/mcp?x=1", 200), ("/", 404), ("/mcp/x", 404), ("/MCP", 404)]
)
def test_only_the_endpoint_is_served(server: HostedThread, path: str, status: int) -> None:
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    with server.connect() as connection:
        connection.send(connection.head("POST", path, Content_Length=str(len(body)), **headers) + body)
        answer = connection.answer()
    if status == 200:
        assert answer.result
    else:
        refusal(answer, 404, "the MCP endpoint is /mcp")


@pytest.mark.parametrize(("path", "content"), [("/healthz", {"alive": True}), ("/readyz", {"ready": True})])
def test_health_and_readiness_need_no_authentication(server: HostedThread, path: str, content: object) -> None:
    answer = server.request("GET", path, Host="10.0.0.1", X_Forwarded_For="10.0.0.2")  # as load balancers send it
    assert (answer.status, answer.content) == (200, content)
    assert server.request("HEAD", path).status == 200


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
@pytest.mark.parametrize(
    ("body", "code", "request_id"), [*INVALID_MESSAGES, (b"", -32700, None)], ids=lambda value: repr(value)[:60]
)
def test_an_invalid_message_is_answered_with_400_and_an_error(
    server: HostedThread, version: str, body: bytes, code: int, request_id: int | None
) -> None:
    logged = server.errors.count("a message was refused: ")
    answer = server.post(body, MCP_Protocol_Version=version)
    assert (answer.status, answer.content) == (400, expected_error(code, request_id))
    assert server.errors.count("a message was refused: ") == logged + 1


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
def test_a_byte_order_mark_before_a_message_is_skipped(server: HostedThread, version: str) -> None:
    content, headers = look_up(ID, version=version)
    assert server.post(codecs.BOM_UTF8 + json.dumps(content).encode(), **headers).result["isError"] is False


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("Application/JSON;q=0.9, text/event-stream", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("text/event-stream\r\nAccept: application/json", "application/json"),
        ("application/json; q=0.0, text/event-stream", "text/event-stream"),
        ("application/json;q=0", None),
        ("text/html", None),
    ],
)
def test_the_answer_has_a_form_that_the_client_accepts(
    server: HostedThread, version: str, accept: str, content_type: str | None
) -> None:
    content, headers = look_up(ID, version=version)
    answer = server.post(content, **headers | {"Accept": accept})
    if content_type is None:
        refusal(answer, 406, "Not Acceptable")
        return
    assert answer.headers["content-type"] == content_type
    event = re.fullmatch(rb"event: message\r\ndata: (.+)\r\n\r\n", answer.body)
    assert (event is not None) == (content_type == "text/event-stream")
    message = json.loads(event[1] if event else answer.body)
    assert (message["id"], message["result"]["isError"]) == (1, False)


def refusal(answer: Answer, status: int, sentence: str, **data: str) -> None:
    """Check that a refused request has a JSON-RPC error as its body."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.content["jsonrpc"] == "2.0"
    assert answer.content["id"] is None
    error = answer.content["error"]
    assert (answer.status, error["code"], error.get("data", {})) == (status, -32600, data)
    assert sentence in error["message"]


def test_a_request_with_two_host_headers_is_refused(server: HostedThread) -> None:
    content, headers = message("tools/list")
    body = json.dumps(content).encode()
    with server.connect() as connection:
        head = connection.head("POST", "/mcp", Content_Length=str(len(body)), **headers)
        connection.send(head.replace(b"\r\n\r\n", b"\r\nHost: localhost\r\n\r\n") + body)
        refusal(connection.answer(), 400, "more than one Host header")


def test_a_pair_of_surrogates_is_accepted(server: HostedThread) -> None:
    body = b'{"jsonrpc":"2.0","id":"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\\ud800","method":"tools/list"}'
    assert server.post(body).content["id"] == "😀 😀 \\ud800"


def test_one_call_too_many_gets_503_at_once_and_the_others_are_answered(server: HostedThread, api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    connections = [server.begin(campaign_id(number)) for number in range(MAX_CALLS)]
    api.wait_for_requests(MAX_CALLS)
    refused = server.look_up(ID)
    refusal(refused, 503, "try again")
    assert refused.headers["retry-after"] == "1"
    assert server.request("GET", "/readyz").status == 200
    hold.release.set()
    assert [returned_id(connection.answer()) for connection in connections] == [
        campaign_id(number) for number in range(MAX_CALLS)
    ]
    for connection in connections:
        connection.close()
    until(lambda: server.look_up(ID).status == 200, "the answered calls no longer count")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_disconnects_cancels_its_call_and_leaves_nothing_behind(
    server: HostedThread, api: FaultServer, version: str
) -> None:
    hold = Hold()
    api.script(hold)
    for number in range(MAX_CALLS + 2):  # more than could be under way, were one still counted
        connection = server.begin(campaign_id(number), version)
        api.wait_for_requests(number + 1)
        connection.close()
        until(lambda gone=number + 1: hold.left == gone, "the request to the API is closed")  # type: ignore[misc]


@pytest.mark.parametrize(("leaves", "stays"), [(0, 1), (1, 0)])
def test_a_client_that_disconnects_does_not_cancel_an_identical_look_up(
    server: HostedThread, api: FaultServer, leaves: int, stays: int
) -> None:
    hold = Hold()
    api.script(hold, echo)
    connections = [server.begin(ID, LATEST)]
    api.wait_for_requests(1)
    connections.append(server.begin(ID))
    assert returned_id(server.look_up(campaign_id(1))) == campaign_id(1)  # so the second, sent before, is under way too
    connections[leaves].close()
    assert returned_id(server.look_up(campaign_id(2))) == campaign_id(2)
    hold.release.set()
    assert returned_id(connections[stays].answer()) == ID
    connections[stays].close()
    assert len(api.requests) == 3
    assert hold.left == 0
