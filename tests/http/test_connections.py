"""HTTP in bytes: whatever a client sends, and however slowly, no other client waits for it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from callers_mcp.http import middleware
from callers_mcp.http.runtime import protocol
from callers_mcp.http.runtime.protocol import BoundedProtocol
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY, PATIENCE
from tests.support.echo_api import Hold, campaign_id, echo, returned_id
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import look_up
from tests.support.hosted_thread import HostedThread
from tests.support.http_connection import HttpConnection
from tests.support.waiting import until

LIMIT = 65_536
HEADS_LIMIT = 32_768


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


@pytest.fixture(scope="module")
def shared(api: FaultServer) -> Iterator[HostedThread]:
    environment = {
        "CALLERS_BASE_URL": api.base_url,
        "CALLERS_API_KEY": KEY,
        "CALLERS_TIMEOUT": "600",  # longer than any wait of a test: no call ends by its deadline
    }
    with HostedThread(environment=environment) as server:
        yield server
    assert server.exit_code == 0
    assert "Traceback" not in server.errors


@pytest.fixture
def server(shared: HostedThread, api: FaultServer) -> HostedThread:
    """Return the shared server, in front of an API that answers at once."""
    api.script(echo)
    return shared


def test_a_body_over_the_limit_is_refused_and_one_at_it_is_not(server: HostedThread) -> None:
    content, headers = look_up(ID)
    body = json.dumps(content).encode().ljust(LIMIT)
    assert returned_id(server.post(body, **headers)) == ID
    with server.connect() as declared, server.connect() as chunked:
        declared.send(declared.head("POST", "/mcp", Content_Length=str(LIMIT + 1)))
        chunked.send(chunked.head("POST", "/mcp", Transfer_Encoding="chunked"))
        chunked.send(b"%x\r\n%s" % (LIMIT + 1, b" " * (LIMIT + 1)))
        for connection in (declared, chunked):
            assert connection.answer().status == 413
            assert connection.is_closed()


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
def test_a_flood_of_headers_is_disconnected(server: HostedThread, prelude: bytes) -> None:
    with server.connect() as connection:
        if prelude.startswith(b"GET"):
            prelude = _send_first(connection, prelude)
        connection.send(prelude)
        with pytest.raises(ConnectionError):
            for number in range(10_000):  # 10 MB; what the system buffers is less
                connection.send(b"X-%d: %s\r\n" % (number, b"x" * 1000))


def _send_first(connection: HttpConnection, prelude: bytes) -> bytes:
    head, end, rest = prelude.partition(b"\r\n\r\n")
    connection.send(head + end)
    assert connection.answer().status == 200
    return rest


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", 99),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 99),
    ],
    ids=["headers", "trailers"],
)
def test_the_number_of_fields_is_limited_before_the_last_of_them(
    server: HostedThread, before: bytes, allowed: int
) -> None:
    with server.connect() as connection:
        for _ in range(2):  # each request has its own limit
            connection.send(before + b"a:\r\n" * allowed + b"\r\n")
            assert connection.answer().status == 200
        connection.send(before + b"a:\r\n" * (allowed + 2))  # the parser reports a field when the next one begins
        assert connection.answer().status == 400
        assert connection.is_closed()


def test_a_trailer_is_not_read_as_a_header(server: HostedThread) -> None:
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    body = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    with server.connect() as connection:
        connection.send(connection.head("POST", "/mcp", Transfer_Encoding="chunked", **headers))
        connection.send(body + b"Host: elsewhere\r\nX-Checksum: 1\r\n\r\n")
        assert returned_id(connection.answer()) == ID
        head = connection.head("POST", "/mcp", Transfer_Encoding="chunked", Host="", **headers)
        connection.send(head + body + b"Host: %s\r\n\r\n" % connection.host.encode())
        assert connection.answer().status == 421


def test_a_flood_around_the_chunks_of_a_body_is_disconnected(server: HostedThread) -> None:
    with server.connect() as connection:
        connection.send(connection.head("POST", "/mcp", Transfer_Encoding="chunked"))
        with pytest.raises(ConnectionError):
            for _ in range(10_000):
                connection.send(b"1;%s\r\n \r\n" % (b"x" * 1000))


def test_slow_senders_are_disconnected_and_idle_connections_are_not(
    server: HostedThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle, refused_early = server.connect(), server.connect()
    refused_early.send(refused_early.head("PUT", "/mcp", Content_Length="2"))
    assert refused_early.answer().status == 405
    slow_next_head, slow_rest, slow_body = (server.connect() for _ in range(3))
    slow_next_head.send(slow_next_head.head("GET", "/healthz"))
    assert slow_next_head.answer().status == 200
    slow_rest.send(slow_rest.head("PUT", "/mcp", Content_Length="100"))
    assert slow_rest.answer().status == 405

    with monkeypatch.context() as impatient:
        impatient.setattr(middleware, "BODY_TIMEOUT_SECONDS", 0.2)
        slow_body.send(slow_body.head("POST", "/mcp", Content_Length="100") + b"{")
        answer = slow_body.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        impatient.setattr(protocol, "HEAD_TIMEOUT_SECONDS", 0.2)  # only now: the requests before need not hurry
        idle.send(idle.head("GET", "/healthz"))
        assert idle.answer().status == 200
        refused_early.send(b"{}")  # late, as the answer did not wait for it
        silent, slow_head = server.connect(), server.connect()
        slow_head.send(b"POST /mcp HTTP/1.1\r\nHost: ")
        slow_next_head.send(b"P")
        slow_rest.send(b"{")
        for connection in (silent, slow_head, slow_next_head, slow_rest, slow_body):
            assert connection.is_closed()
            connection.close()

    content, headers = look_up(ID)
    for connection in (idle, refused_early):
        connection.post(content, **headers)
        assert returned_id(connection.answer()) == ID
        connection.close()


def test_pipelined_calls_are_answered_in_order(server: HostedThread) -> None:
    with server.connect() as connection:
        for number in range(3):
            content, headers = look_up(campaign_id(number))
            connection.post(content, **headers)
        assert [returned_id(connection.answer()) for _ in range(3)] == [campaign_id(number) for number in range(3)]


def test_a_pipelined_head_that_the_server_does_not_read_is_not_too_slow(
    server: HostedThread, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.script(hold := Hold())
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    with server.connect() as connection:
        next_call = connection.head("POST", "/mcp", Content_Length=str(len(body)), **headers) + body
        connection.send(next_call)
        api.wait_for_requests(1)
        with monkeypatch.context() as impatient:
            impatient.setattr(protocol, "HEAD_TIMEOUT_SECONDS", 0.1)
            connection.send(next_call + next_call[:20])  # the second call waits, and so the server reads no further
            with server.connect() as later:
                assert later.is_closed()  # because its time is over
        connection.send(next_call[20:])
        hold.release.set()
        assert [returned_id(connection.answer()) for _ in range(3)] == [ID] * 3


@pytest.mark.parametrize("kind", ["h2c", "websocket"])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_client_that_offers_an_upgrade_is_answered_without_it(
    server: HostedThread, kind: str, is_chunked: bool, is_split: bool
) -> None:
    content, headers = look_up(ID)
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": kind, "HTTP2_Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    body = json.dumps(content).encode()
    framing = {"Transfer_Encoding": "chunked"} if is_chunked else {"Content_Length": str(len(body))}
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    with server.connect() as connection:
        for _ in range(2):  # on one connection
            head = connection.head("POST", "/mcp", **headers | offer | framing)
            connection.send(head if is_split else head + body)
            if is_split:
                for _ in range(3):  # so that the server takes the head by itself
                    server.request("GET", "/healthz")
                connection.send(body)
            assert returned_id(connection.answer()) == ID
        connection.post(content, **headers)
        assert returned_id(connection.answer()) == ID
        connection.send(connection.head("GET", "/healthz", **offer) + connection.head("GET", "/readyz"))
        assert [connection.answer().content for _ in range(2)] == [{"alive": True}, {"ready": True}]


def test_a_flood_of_offered_upgrades_is_refused(server: HostedThread) -> None:
    with server.connect() as connection:
        connection.send(connection.head("GET", "/healthz", Connection="Upgrade", Upgrade="h2c") * 1000)
        assert connection.answer().status == 400
        assert connection.is_closed()


def test_rubbish_behind_a_call_ends_both_without_an_error_in_the_log(server: HostedThread, api: FaultServer) -> None:
    hold = Hold()
    content, headers = look_up(ID)
    body = json.dumps(content).encode()
    for number, between in enumerate((b"", b"GET /healthz HTTP/1.1\r\n\r\n")):
        api.script(hold)
        with server.connect() as connection:
            connection.send(connection.head("POST", "/mcp", Content_Length=str(len(body)), **headers) + body)
            api.wait_for_requests(1)
            connection.send(between + b"rubbish\r\n\r\n")
            assert connection.answer().status == 400
            assert connection.is_closed()
        until(lambda gone=number + 1: hold.left == gone, "the call is cancelled")  # type: ignore[misc]
    with server.connect() as connection:  # here the connection is closed before the call could be answered
        connection.send(
            connection.head("POST", "/mcp", Content_Length="2", **headers) + b"{}GET /healthz HTTP/1.1\r\n\r\nrubbish"
        )
        assert connection.answer().status == 400
        assert connection.is_closed()


def test_a_refused_request_does_not_cost_its_connection(server: HostedThread) -> None:
    content, headers = look_up(ID)
    body = b" " * (HEADS_LIMIT + 1)
    with server.connect() as connection:
        connection.send(connection.head("PUT", "/mcp", Content_Length=str(len(body))))
        assert connection.answer().status == 405
        connection.send(body)
        for _ in range(3):  # so that the server takes the body by itself
            server.request("GET", "/healthz")
        connection.post(content, **headers)
        assert returned_id(connection.answer()) == ID


def test_a_client_that_pipelines_without_end_is_disconnected(server: HostedThread) -> None:
    content, headers = look_up(ID)
    with server.connect() as connection:
        body = json.dumps(content).encode()
        one = (
            connection.head("POST", "/mcp", Content_Length=str(len(body)), Content_Type="application/json", **headers)
            + body
        )
        with suppress(ConnectionError):
            connection.send(one * 2_000)
        answered = 0
        with suppress(ConnectionError, AssertionError):  # a reset connection has no last answer
            while answered < 2_000 and connection.answer().status == 200:
                answered += 1
        assert answered < 2_000  # without a limit all are answered, and the idle connection is closed later
        assert connection.is_closed()
    assert returned_id(server.look_up(ID)) == ID


def test_a_client_that_reads_no_answer_does_not_keep_its_place(
    api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "READ_TIMEOUT_SECONDS", 0.5)
    large = fault.answer(campaign(variables=["x" * 900_000]))
    api.script(lambda exchange: (large if exchange.request.target.endswith(ID) else echo)(exchange))
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_HTTP_MAX_CALLS": "1"}
    with HostedThread(environment=environment) as server:
        content, headers = look_up(ID)
        with server.connect() as connection:
            for _ in range(10):  # more than the system's buffers hold
                connection.post(content, **headers)
            until(lambda: server.look_up(campaign_id(1)).status == 503, "its place is taken")
            until(lambda: server.look_up(campaign_id(1)).status == 200, "its place is free again")


def _called(method: Callable[[BoundedProtocol], None], monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set when ``method`` has been called."""
    called = threading.Event()

    def call(protocol: BoundedProtocol) -> None:
        method(protocol)
        called.set()

    monkeypatch.setattr(BoundedProtocol, method.__name__, call)
    return called


@pytest.mark.parametrize(("size", "tls"), [(900_000, False), (900_000, True), (200_000, True)])
def test_a_call_counts_until_its_client_has_read_the_answer_however_slowly(
    api: FaultServer, monkeypatch: pytest.MonkeyPatch, size: int, tls: bool
) -> None:
    resumed = _called(BoundedProtocol.resume_writing, monkeypatch)
    large = fault.answer(campaign(variables=["x" * size]))
    api.script(lambda exchange: (large if exchange.request.target.endswith(ID) else echo)(exchange))
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_HTTP_MAX_CALLS": "1"}
    with (
        HostedThread(environment=environment, tls=tls, send_buffer=65_536) as server,
        server.connect() as connection,
    ):

        def check() -> None:
            assert server.look_up(campaign_id(1)).status == 503
            if size > 500_000:
                assert resumed.wait(PATIENCE), "the time to read is for a part of the answer"

        content, headers = look_up(ID)
        connection.post(content, **headers)
        assert returned_id(connection.answer(meanwhile=check)) == ID
        until(lambda: server.look_up(campaign_id(1)).status == 200, "its place is free again")


def test_a_call_above_the_limit_is_refused_before_its_body_is_parsed(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_HTTP_MAX_CALLS": "1"}
    with HostedThread(environment=environment) as server, server.begin(ID) as connection:
        api.wait_for_requests(1)
        assert server.post(b"rubbish").status == 503
        hold.release.set()
        assert returned_id(connection.answer()) == ID
        until(lambda: server.post(b"rubbish").status == 400, "its place is free again")
