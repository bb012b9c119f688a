"""What reaches ``callers-mcp http`` in bytes: whatever a client sends, and however slowly, nobody else is held up."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Door, Hold, Hosted, campaign_id, echo, look_up, the_id, until

LIMIT = 65_536
HEADS_LIMIT = 32_768

# What a slow client is given; short enough to wait for, and long enough that no other request comes near it.
HASTY = """
from callers_mcp.http import middleware; from callers_mcp.http.runtime import protocol
middleware.BODY_SECONDS = protocol.HEAD_SECONDS = protocol.READ_SECONDS = 0.7
"""


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


@pytest.fixture(scope="module")
def shared(api: FaultServer) -> Iterator[Hosted]:
    with Hosted(environment={"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}) as server:
        yield server
        code, errors = server.end()
    assert code == 0
    assert "Traceback" not in errors


@pytest.fixture
def server(shared: Hosted, api: FaultServer) -> Hosted:
    """The shared server, in front of an API that answers at once."""
    api.script(echo)
    return shared


def test_a_body_over_the_limit_is_refused_and_one_at_it_is_not(server: Hosted) -> None:
    content, headers = look_up(ID)
    body = json.dumps(content).encode().ljust(LIMIT)
    assert the_id(server.post(body, **headers)) == ID
    with server.door() as declared, server.door() as chunked:
        declared.send(declared.head("POST", "/mcp", Content_Length=str(LIMIT + 1)))
        chunked.send(chunked.head("POST", "/mcp", Transfer_Encoding="chunked"))
        chunked.send(b"%x\r\n%s" % (LIMIT + 1, b" " * (LIMIT + 1)))
        for door in (declared, chunked):
            assert door.answer().status == 413
            assert door.is_closed()


@pytest.mark.parametrize(
    "prelude",
    [
        b"POST /mcp HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\nPOST /mcp HTTP/1.1\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 1\r\n\r\n POST /mcp HTTP/1.1\r\n",
        b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"PUT /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
    ids=["head", "second head", "pipelined head", "trailer", "trailer of a refused request"],
)
def test_a_flood_of_headers_is_ended(server: Hosted, prelude: bytes) -> None:
    with server.door() as door:
        if prelude.startswith(b"GET"):
            prelude = _ask_first(door, prelude)
        door.send(prelude)
        with pytest.raises(ConnectionError):
            for number in range(10_000):  # 10 MB; what the system buffers is less
                door.send(b"X-%d: %s\r\n" % (number, b"x" * 1000))


def _ask_first(door: Door, prelude: bytes) -> bytes:
    head, end, rest = prelude.partition(b"\r\n\r\n")
    door.send(head + end)
    assert door.answer().status == 200
    return rest


def test_a_flood_around_the_pieces_of_a_body_is_ended(server: Hosted) -> None:
    with server.door() as door:
        door.send(door.head("POST", "/mcp", Transfer_Encoding="chunked"))
        with pytest.raises(ConnectionError):
            for _ in range(10_000):
                door.send(b"1;%s\r\n \r\n" % (b"x" * 1000))


def test_slow_senders_are_ended_and_idle_connections_are_not(api: FaultServer) -> None:
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    api.script(echo)
    with Hosted(environment=environment, before=HASTY) as server:
        idle = server.door()
        idle.send(idle.head("PUT", "/mcp", Content_Length="2"))
        assert idle.answer().status == 405
        idle.send(b"{}")  # late, as the answer did not wait for it

        silent, slow_head, slow_next_head, slow_rest, slow_body = (server.door() for _ in range(5))
        slow_head.send(b"POST /mcp HTTP/1.1\r\nHost: ")
        slow_next_head.send(slow_next_head.head("GET", "/healthz"))
        assert slow_next_head.answer().status == 200
        slow_next_head.send(b"P")
        slow_rest.send(slow_rest.head("PUT", "/mcp", Content_Length="100"))
        assert slow_rest.answer().status == 405
        slow_rest.send(b"{")
        slow_body.send(slow_body.head("POST", "/mcp", Content_Length="100") + b"{")

        answer = slow_body.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        for door in (silent, slow_head, slow_next_head, slow_rest, slow_body):
            assert door.is_closed()
            door.close()
        content, headers = look_up(ID)
        idle.post(content, **headers)
        assert the_id(idle.answer()) == ID
        idle.close()


def test_calls_that_are_sent_in_one_go_are_answered_in_order(server: Hosted) -> None:
    with server.door() as door:
        for number in range(3):
            content, headers = look_up(campaign_id(number))
            door.post(content, **headers)
        assert [the_id(door.answer()) for _ in range(3)] == [campaign_id(number) for number in range(3)]


@pytest.mark.parametrize("kind", ["h2c", "websocket"])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_client_that_offers_an_upgrade_is_answered_without_it(
    server: Hosted, kind: str, is_chunked: bool, is_split: bool
) -> None:
    content, headers = look_up(ID)
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": kind, "HTTP2_Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    body = json.dumps(content).encode()
    framing = {"Transfer_Encoding": "chunked"} if is_chunked else {"Content_Length": str(len(body))}
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    with server.door() as door:
        for _ in range(2):  # on one connection
            head = door.head("POST", "/mcp", **headers | offer | framing)
            door.send(head if is_split else head + body)
            if is_split:
                for _ in range(3):  # so that the server takes the head by itself
                    server.ask("GET", "/healthz")
                door.send(body)
            assert the_id(door.answer()) == ID
        door.post(content, **headers)
        assert the_id(door.answer()) == ID
        door.send(door.head("GET", "/healthz", **offer) + door.head("GET", "/readyz"))
        assert [door.answer().content for _ in range(2)] == [{"alive": True}, {"ready": True}]


def test_a_flood_of_offered_upgrades_is_ended(server: Hosted) -> None:
    with server.door() as door:
        door.send(door.head("GET", "/healthz", Connection="Upgrade", Upgrade="h2c") * 1000)
        assert door.answer().status == 400
        assert door.is_closed()


def test_rubbish_behind_a_call_ends_both_quietly(server: Hosted, api: FaultServer) -> None:
    hold = Hold()
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    for number, between in enumerate((b"", b"GET /healthz HTTP/1.1\r\n\r\n")):
        api.script(hold)
        with server.door() as door:
            door.send(door.head("POST", "/mcp", Content_Length=str(len(body)), **headers) + body)
            api.wait_for_requests(1)
            door.send(between + b"rubbish\r\n\r\n")
            assert door.answer().status == 400
            assert door.is_closed()
        until(lambda gone=number + 1: hold.left == gone, "the call is cancelled")  # type: ignore[misc]
    with server.door() as door:  # where the call would be answered when the connection is closed already
        door.send(door.head("POST", "/mcp", Content_Length="2", **headers) + b"{}GET /healthz HTTP/1.1\r\n\r\nrubbish")
        assert door.answer().status == 400
        assert door.is_closed()


def test_a_refused_request_does_not_cost_its_connection(server: Hosted) -> None:
    content, headers = look_up(ID)
    body = b" " * (HEADS_LIMIT + 1)
    with server.door() as door:
        door.send(door.head("PUT", "/mcp", Content_Length=str(len(body))))
        assert door.answer().status == 405
        door.send(body)
        for _ in range(3):  # so that the server takes the body by itself
            server.ask("GET", "/healthz")
        door.post(content, **headers)
        assert the_id(door.answer()) == ID


def test_a_client_that_sends_request_after_request_in_one_go_is_ended(server: Hosted) -> None:
    content, headers = look_up(ID)
    with server.door() as door:
        body = json.dumps(content).encode()
        one = (
            door.head("POST", "/mcp", Content_Length=str(len(body)), Content_Type="application/json", **headers) + body
        )
        with suppress(ConnectionError):
            door.send(one * 2_000)
        with suppress(ConnectionError, AssertionError):  # the last one, where the connection is reset, is no answer
            while door.answer().status == 200:
                pass
        assert door.is_closed()
    assert the_id(server.call(ID)) == ID


def test_a_client_that_reads_no_answer_does_not_keep_its_place(api: FaultServer) -> None:
    api.script(fault.answer(campaign(variables=["x" * 900_000])))
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_HTTP_MAX_CALLS": "1"}
    with Hosted(environment=environment, before=HASTY) as server:
        content, headers = look_up(ID)
        with server.door() as door:
            for _ in range(10):  # more than the system's buffers hold
                door.post(content, **headers)
            until(lambda: server.call(ID).status == 503, "its place is taken")
            api.script(echo)
            until(lambda: server.call(ID).status == 200, "its place is free again")
