"""MCP, every version of it, over real stdio: what is said is answered as the specification has it."""

import json
from collections.abc import Iterator

import pytest

import callers_mcp
from callers_mcp.sandbox import sample_ids
from tests.support.constants import SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import Held, environment_of
from tests.support.stdio_process import ENVELOPE, Pipe

HANDSHAKES = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


@pytest.fixture(scope="module")
def server() -> Iterator[Pipe]:
    """One server for all that must not disturb it."""
    with Pipe("--sandbox") as pipe:
        pipe.handshake()
        yield pipe


@pytest.mark.parametrize("version", HANDSHAKES)
def test_each_handshake_version_lists_and_calls(version: str) -> None:
    with Pipe("--sandbox") as pipe:
        assert pipe.handshake(version)["protocolVersion"] == version
        tools = pipe.ask("tools/list")["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["get_campaign", "find_campaigns"]
        result = pipe.call()
        assert json.loads(result["content"][1]["text"])["id"] == SAMPLE_ID


def test_the_stateless_version_needs_no_handshake() -> None:
    with Pipe("--sandbox") as pipe:
        listed = pipe.ask("tools/list", {"_meta": ENVELOPE})["result"]
        assert (listed["ttlMs"], listed["cacheScope"]) == (3_600_000, "public")
        call = {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}, "_meta": ENVELOPE}
        result = pipe.ask("tools/call", call)["result"]
        assert result["structuredContent"]["summary"]["id"] == SAMPLE_ID
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == callers_mcp.__version__


def test_it_says_who_it_is_and_only_what_it_can(server: Pipe) -> None:
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


def test_the_sandbox_ignores_the_settings_of_a_real_account() -> None:
    environment = {
        "CALLERS_API_KEY": "real",
        "CALLERS_BASE_URL": "https://api.callers.ai",
        "CALLERS_SUB_ORGANIZATIONS": "elsewhere",
        "CALLERS_SUB_ORGANIZATION_ID": "${unset}",
    }
    with Pipe("--sandbox", environment=environment) as pipe:
        pipe.handshake()
        assert pipe.call()["structuredContent"]["summary"]["name"].startswith("Sample: ")


def test_without_a_key_it_lists_its_tools_and_a_call_says_what_to_set() -> None:
    with Pipe() as pipe:
        assert 0 < len(pipe.handshake()["instructions"]) <= 600
        assert pipe.ask("tools/list")["result"]["tools"]
        result = pipe.call()
    assert result["isError"]
    assert result["_meta"]["callers-mcp/error"]["kind"] == "not_configured"
    assert "CALLERS_API_KEY" in result["content"][0]["text"]


@pytest.mark.parametrize("method", ["nonsense", "tasks/list", "callers/call"])
def test_an_unknown_method_is_a_protocol_error(server: Pipe, method: str) -> None:
    assert server.ask(method)["error"]["code"] == -32601


@pytest.mark.parametrize("name", ["get_campaigns", "", "x" * 100_000, 'quote"\n'])
def test_an_unknown_tool_is_a_protocol_error(server: Pipe, name: str) -> None:
    error = server.ask("tools/call", {"name": name, "arguments": {}})["error"]
    assert error["code"] == -32602
    assert len(error["message"]) < 200
    assert "\n" not in error["message"]


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "get_campaign", "arguments": ["x"]}, {"name": None}])
def test_a_call_of_wrong_types_is_a_protocol_error(server: Pipe, params: dict[str, object]) -> None:
    assert server.ask("tools/call", params)["error"]["code"] == -32602


def test_a_cursor_that_was_never_given_out_is_a_protocol_error(server: Pipe) -> None:
    assert server.ask("tools/list", {"cursor": "2"})["error"]["code"] == -32602


def test_a_call_without_arguments_is_told_what_is_missing(server: Pipe) -> None:
    result = server.ask("tools/call", {"name": "get_campaign"})["result"]
    assert result["isError"]
    assert "campaign_id" in result["content"][0]["text"]


@pytest.mark.parametrize(
    "line",
    [
        b"not JSON",
        b"",
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b"[" * 100_000,
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"1.0","id":5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}',
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"never"}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}',
        b"\xff\xfe\x00\x00",
        b'{"jsonrpc":"2.0","id":99,"result":{}}',
        b'"' + b"x" * 1_000_000 + b'"',
    ],
    ids=lambda line: line[:40].decode("latin-1"),
)
def test_a_line_that_makes_no_sense_does_not_end_it(server: Pipe, line: bytes) -> None:
    server.write(line)
    assert "result" in server.ask("ping")
    assert server.call()["isError"] is False


def test_a_huge_argument_is_refused_in_a_few_words(server: Pipe) -> None:
    result = server.call({"campaign_id": "f" * 5_000_000, "x" * 100_000: 1})
    assert result["isError"]
    assert len(result["content"][0]["text"]) < 1000


def test_calls_run_beside_each_other() -> None:
    with FaultServer(held := Held(only=SAMPLE_ID)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        slow = pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        api.wait_for_requests(1)
        assert pipe.call({"campaign_id": "a" * 24})["isError"] is False
        held.release()
        assert pipe.receive()["id"] == slow


def test_a_cancelled_call_is_dropped_with_its_request_and_never_answered() -> None:
    with FaultServer(Held(only=SAMPLE_ID)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        cancelled = pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        api.wait_for_requests(1)
        pipe.notify("notifications/cancelled", {"requestId": cancelled})
        api.wait_for_disconnect()
        following = pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": "a" * 24}})
        assert pipe.receive()["id"] == following
