"""Every version of MCP over real stdio: one process for each, and all that a host of that version does with it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mcp_types.methods import CLIENT_REQUESTS

import callers_mcp
from callers_mcp.server.card import CARD_URI
from tests.support.campaigns import campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import HANDSHAKES, LATEST, VERSIONS
from tests.support.mcp_features import numbered
from tests.support.stand_in_api import holding
from tests.support.stdio_process import ENVELOPE, Pipe

URI = f"callers://campaigns/{ID}"
REQUESTS: dict[str, dict[str, Any]] = {
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "review_campaign"},
        "argument": {"name": "campaign", "value": ""},
    },
    "initialize": {"protocolVersion": "", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    "ping": {},
    "prompts/get": {"name": "review_campaign", "arguments": {"campaign": ID}},
    "prompts/list": {},
    "resources/list": {},
    "resources/read": {"uri": URI},
    "resources/templates/list": {},
    "server/discover": {},
    "tools/call": {"name": "get_campaign", "arguments": {"campaign_id": ID}},
    "tools/list": {},
}
NOT_OFFERED: dict[str, dict[str, Any]] = {
    "logging/setLevel": {"level": "info"},
    "resources/subscribe": {"uri": URI},
    "resources/unsubscribe": {"uri": URI},
    "subscriptions/listen": {"notifications": {}},
}


class Session:
    """A server process that is used in one version of MCP."""

    def __init__(self, pipe: Pipe, version: str) -> None:
        self.version = version
        self.hello = {} if version == LATEST else pipe.handshake(version)
        self._pipe = pipe

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the message that answers a request, written as this version has it."""
        return self._pipe.ask(method, params | ({"_meta": ENVELOPE} if self.version == LATEST else {}))


# The unmarked run has the newest handshake and the newest version; tests/http has each version in the test process.
@pytest.fixture(
    scope="module", params=[*(pytest.param(one, marks=pytest.mark.slow) for one in VERSIONS[:-2]), *VERSIONS[-2:]]
)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with FaultServer(holding(campaign(), campaign(id=numbered(1), name="Autumn survey"))) as server:
        environment = {
            "CALLERS_BASE_URL": server.base_url,
            "CALLERS_API_KEY": KEY,
            "CALLERS_ORGANIZATION_ID": CAMPAIGN_OWNER_ID,
        }
        with Pipe(environment=environment) as pipe:
            yield Session(pipe, request.param)


def test_a_handshake_agrees_on_the_version_and_the_latest_needs_none(session: Session) -> None:
    if session.version == LATEST:
        listed = session.request("tools/list")["result"]
        assert (listed["ttlMs"], listed["cacheScope"]) == (3_600_000, "public")
        assert listed["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == callers_mcp.__version__
    else:
        assert session.hello["protocolVersion"] == session.version
        assert {"tools", "resources", "prompts", "completions"} <= set(session.hello["capabilities"])


def test_tools_are_listed_and_called(session: Session) -> None:
    tools = session.request("tools/list")["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["get_campaign", "find_campaigns"]
    result = session.request("tools/call", name="get_campaign", arguments={"campaign_id": ID})["result"]
    assert json.loads(result["content"][1]["text"])["id"] == ID
    if session.version == LATEST:
        assert result["structuredContent"]["summary"]["id"] == ID
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == callers_mcp.__version__


def test_resources_are_listed_and_read(session: Session) -> None:
    assert [one["uri"] for one in session.request("resources/list")["result"]["resources"]] == [CARD_URI]
    assert len(session.request("resources/templates/list")["result"]["resourceTemplates"]) == 2
    result = session.request("resources/read", uri=URI)["result"]
    (contents,) = result["contents"]
    assert (contents["uri"], contents["mimeType"]) == (URI, "application/json")
    assert json.loads(contents["text"])["name"] == "Spring renewals"
    lifetime = (0, "private") if session.version == LATEST else (None, None)
    assert (result.get("ttlMs"), result.get("cacheScope")) == lifetime


def test_a_missing_resource_has_the_error_code_of_the_version(session: Session) -> None:
    missing = f"callers://campaigns/{'0' * 24}"
    error = session.request("resources/read", uri=missing)["error"]
    assert error["code"] == (-32002 if session.version in HANDSHAKES else -32602)
    assert error["data"]["uri"] == missing
    assert error["data"]["callers-mcp/error"]["kind"] == "not_found"


@pytest.mark.slow
def test_a_prompt_takes_what_completion_offers(session: Session) -> None:
    assert len(session.request("prompts/list")["result"]["prompts"]) == 2
    ref = {"type": "ref/prompt", "name": "review_campaign"}
    completed = session.request("completion/complete", ref=ref, argument={"name": "campaign", "value": "Spring"})
    (label,) = completed["result"]["completion"]["values"]
    words = [*zip(("campaign", "sub_organization_id"), label.split(), strict=False)]
    split_name = {"campaign": "Spring", "sub_organization_id": "renewals"}
    for arguments, first in (
        ({"campaign": label}, "Review"),
        (dict(words), "Review"),
        (split_name, "Read as the name"),
    ):
        result = session.request("prompts/get", name="review_campaign", arguments=arguments)["result"]
        (message,) = result["messages"]
        assert message["content"]["text"].startswith(first)
        assert URI in message["content"]["text"].splitlines()


def test_an_unknown_prompt_is_an_invalid_argument(session: Session) -> None:
    error = session.request("prompts/get", name="review", arguments={})["error"]
    assert (error["code"], error["data"]["callers-mcp/error"]["kind"]) == (-32602, "invalid_arguments")


def test_every_method_of_the_protocol_is_answered(session: Session) -> None:
    for method in sorted(name for name, version in CLIENT_REQUESTS if version == session.version):
        answer = session.request(method, **(REQUESTS | NOT_OFFERED)[method])
        assert "result" in answer if method in REQUESTS else answer["error"]["code"] == -32601, (method, answer)


def test_a_client_that_asked_what_the_server_supports_may_still_begin_with_the_handshake() -> None:
    """As the AI SDK does over stdio."""
    with Pipe("--sandbox") as pipe:
        for _ in range(2):
            assert pipe.ask("server/discover", {"_meta": ENVELOPE})["result"]["supportedVersions"] == [LATEST]
        assert pipe.handshake()["protocolVersion"] == "2025-11-25"
        assert pipe.ask("tools/list")["result"]["tools"]
        assert pipe.call()["isError"] is False
        again = pipe.ask("tools/list", {"_meta": ENVELOPE})
        assert "handshake protocol era" in again["error"]["message"]
        pipe.stdin.close()
        assert pipe.end()[0] == 0
