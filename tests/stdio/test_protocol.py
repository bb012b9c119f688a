"""MCP over real stdio: right and wrong messages, answered as the specification says. Versions: ``test_versions``."""

import codecs
from collections.abc import Iterator

import pytest

import callers_mcp
from callers_mcp.sandbox import sample_ids
from tests.support.constants import ID, KEY, SAMPLE_ID
from tests.support.fault_server import Exchange, FaultServer
from tests.support.invalid_messages import INVALID_MESSAGES, expected_error
from tests.support.stand_in_api import KNOWN, Held
from tests.support.stdio_process import Pipe

SAMPLE_URI = f"callers://campaigns/{SAMPLE_ID}"
OF_A_REAL_ACCOUNT = {
    "CALLERS_API_KEY": "real",
    "CALLERS_BASE_URL": "https://api.callers.ai",
    "CALLERS_SUB_ORGANIZATIONS": "elsewhere",
    "CALLERS_SUB_ORGANIZATION_ID": "${unset}",
}
"""Settings that the sandbox must ignore."""


@pytest.fixture(scope="module")
def server() -> Iterator[Pipe]:
    """One process for all tests that leave it as it was."""
    with Pipe("--sandbox", environment=OF_A_REAL_ACCOUNT) as pipe:
        pipe.handshake()
        yield pipe


def test_a_handshake_names_the_server_and_only_what_it_can_do(server: Pipe) -> None:
    hello = server.handshake()
    assert hello["serverInfo"] == {
        "name": "callers-mcp",
        "title": "Callers campaigns",
        "version": callers_mcp.__version__,
        "websiteUrl": "https://github.com/callers-mcp/callers-mcp",
    }
    assert hello["capabilities"] == {
        "completions": {},
        "prompts": {"listChanged": False},
        "resources": {"listChanged": False, "subscribe": False},
        "tools": {"listChanged": False},
    }
    assert 0 < len(hello["instructions"]) <= 600


def test_in_the_sandbox_the_instructions_name_the_samples(server: Pipe) -> None:
    instructions = server.handshake()["instructions"]
    assert "sandbox" in instructions.lower()
    assert sample_ids() in instructions
    assert len(instructions) <= 600


def test_in_the_sandbox_an_unknown_id_is_answered_with_the_samples(server: Pipe) -> None:
    result = server.call({"campaign_id": "0" * 24})
    assert result["isError"]
    assert sample_ids() in result["content"][0]["text"]


def test_the_sandbox_ignores_the_settings_of_a_real_account(server: Pipe) -> None:
    assert server.call()["structuredContent"]["summary"]["name"].startswith("Sample: ")


def test_without_a_key_it_lists_its_tools_and_a_call_says_what_to_set() -> None:
    with Pipe() as pipe:
        assert 0 < len(pipe.handshake()["instructions"]) <= 600
        assert pipe.ask("tools/list")["result"]["tools"]
        result = pipe.call()
    assert result["isError"]
    assert result["_meta"]["callers-mcp/error"]["kind"] == "not_configured"
    assert "CALLERS_API_KEY" in result["content"][0]["text"]


@pytest.mark.parametrize(
    "method", ["nonsense", "tasks/list", "callers/call", "resources/subscribe", "resources/unsubscribe"]
)
def test_an_unknown_method_is_a_protocol_error(server: Pipe, method: str) -> None:
    assert server.ask(method, {"uri": SAMPLE_URI})["error"]["code"] == -32601


@pytest.mark.parametrize("name", ["get_campaigns", "", "x" * 100_000, 'quote"\n'])
def test_an_unknown_tool_is_a_protocol_error(server: Pipe, name: str) -> None:
    error = server.ask("tools/call", {"name": name, "arguments": {}})["error"]
    assert error["code"] == -32602
    assert len(error["message"]) < 200
    assert "\n" not in error["message"]


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "get_campaign", "arguments": ["x"]}, {"name": None}])
def test_a_call_of_wrong_types_is_a_protocol_error(server: Pipe, params: dict[str, object]) -> None:
    assert server.ask("tools/call", params)["error"]["code"] == -32602


@pytest.mark.parametrize("params", [{}, {"uri": 7}, {"uri": None}, {"uri": [SAMPLE_URI]}], ids=repr)
def test_a_read_of_wrong_types_is_a_protocol_error(server: Pipe, params: dict[str, object]) -> None:
    assert server.ask("resources/read", params)["error"]["code"] == -32602


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
def test_an_unknown_cursor_is_a_protocol_error(server: Pipe, method: str) -> None:
    assert server.ask(method, {"cursor": "2"})["error"]["code"] == -32602
    assert "result" in server.ask(method)


def test_a_call_without_arguments_returns_what_is_missing(server: Pipe) -> None:
    result = server.ask("tools/call", {"name": "get_campaign"})["result"]
    assert result["isError"]
    assert "campaign_id" in result["content"][0]["text"]


@pytest.mark.parametrize(("line", "code", "request_id"), INVALID_MESSAGES, ids=lambda value: repr(value)[:60])
def test_an_invalid_line_is_answered_with_an_error(
    server: Pipe, line: bytes, code: int, request_id: int | None
) -> None:
    server.write(line)
    assert server.receive() == expected_error(code, request_id)
    assert "result" in server.ask("ping")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" \r",
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"never"}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}',
        b'{"jsonrpc":"2.0","id":99,"result":{}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}',
    ],
    ids=lambda line: line[:40].decode("latin-1"),
)
def test_a_line_that_is_not_a_request_has_no_answer(server: Pipe, line: bytes) -> None:
    server.write(line)
    request_id = server.send("ping")
    assert server.receive()["id"] == request_id


def test_a_byte_order_mark_is_skipped_and_each_invalid_line_is_logged_once() -> None:
    with Pipe("--sandbox") as pipe:
        pipe.stdin.write(codecs.BOM_UTF8)
        pipe.handshake()
        for line, _, _ in INVALID_MESSAGES:
            pipe.write(line)
            pipe.receive()
        pipe.stdin.close()
        code, log = pipe.end()
    assert code == 0
    assert log.count("a message was refused: ") == len(log.splitlines()) == len(INVALID_MESSAGES)


def test_a_huge_argument_is_refused_in_a_few_words(server: Pipe) -> None:
    result = server.call({"campaign_id": "f" * 5_000_000, "x" * 100_000: 1})
    assert result["isError"]
    assert len(result["content"][0]["text"]) < 1000


class InOrder:
    """An API that holds back the answer for one campaign until the test lets it go."""

    def __init__(self) -> None:
        self.held = Held()

    def __call__(self, exchange: Exchange) -> None:
        (self.held if SAMPLE_ID in exchange.request.target else KNOWN)(exchange)


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(KNOWN) as api:
        yield api


@pytest.fixture(scope="module")
def beside(api: FaultServer) -> Iterator[Pipe]:
    """A process in front of ``api``, for calls beside each other."""
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
    with Pipe(environment=environment) as pipe:
        pipe.handshake()
        yield pipe


def test_a_slow_call_does_not_hold_up_another(api: FaultServer, beside: Pipe) -> None:
    behaviour = InOrder()
    api.script(behaviour)
    slow = beside.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
    api.wait_for_requests(1)
    assert beside.call({"campaign_id": ID})["isError"] is False
    behaviour.held.release()
    assert beside.receive()["id"] == slow


def test_a_cancelled_call_is_dropped_with_its_request_and_never_answered(api: FaultServer, beside: Pipe) -> None:
    api.script(InOrder())
    api.disconnected.clear()
    cancelled = beside.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
    api.wait_for_requests(1)
    beside.notify("notifications/cancelled", {"requestId": cancelled})
    api.wait_for_disconnect()
    following = beside.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": ID}})
    assert beside.receive()["id"] == following
