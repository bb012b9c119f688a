"""The Server Card and the AI Catalog: what machines read of the server before they connect."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.constants import KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import LATEST, bearer, message
from tests.support.hosted_thread import HostedThread
from tests.support.oidc_provider import OidcProvider
from tests.support.team import Team

ROOT = Path(__file__).parents[2]
CARD_SCHEMA = json.loads((ROOT / "tests/data/server-card.schema.2026-07-24.json").read_text())
REGISTRY_SCHEMA = json.loads((ROOT / "tests/data/server.schema.2025-12-11.json").read_text())
ENTRY = json.loads((ROOT / "server.json").read_text())
PUBLIC_URL = "https://Agents.Example-2.com:8443/team/mcp"
CARD, CATALOG = "/mcp/server-card", "/.well-known/ai-catalog.json"
PATHS = (CARD, "/team/mcp/server-card", CATALOG)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with FaultServer() as api:
        team = Team(tmp_path_factory.mktemp("discovery"), api)
        team.environment |= {"CALLERS_HTTP_PUBLIC_URL": PUBLIC_URL, "CALLERS_HTTP_SERVER_CARD": "on"}
        team.add("agent", "main")
        yield team


@pytest.fixture(scope="module")
def server(team: Team) -> Iterator[HostedThread]:
    with HostedThread(environment=team.environment) as server:
        yield server


def card_of(server: HostedThread) -> Any:
    """Return the card, which is valid."""
    answer = server.request("GET", CARD)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/mcp-server-card+json")
    reference = {**CARD_SCHEMA, "$ref": "#/$defs/ServerCard"}
    jsonschema.validate(answer.content, reference, jsonschema.Draft202012Validator)
    return answer.content


def test_a_machine_that_knows_only_the_domain_finds_the_endpoint(server: HostedThread) -> None:
    catalog = server.request("GET", CATALOG)
    assert catalog.headers["content-type"] == "application/ai-catalog+json"
    assert catalog.content == {
        "specVersion": "0.9",
        "entries": [
            {
                "identifier": "urn:air:agents.example-2.com:mcp:callers-mcp",
                "type": "application/mcp-server-card+json",
                "url": f"{PUBLIC_URL}/server-card",
            }
        ],
    }
    card = card_of(server)
    assert card["name"] == "com.example-2.agents/callers-mcp"
    assert [(remote["type"], remote["url"]) for remote in card["remotes"]] == [("streamable-http", PUBLIC_URL)]


def test_the_card_agrees_with_the_running_server_and_with_the_entry_of_the_registry(
    server: HostedThread, team: Team
) -> None:
    content, headers = message("server/discover", version=LATEST)
    live = server.post(content, Host="agents.example-2.com:8443", **headers | bearer(team.tokens["agent"])).result
    info = live["_meta"]["io.modelcontextprotocol/serverInfo"]
    card = card_of(server)
    assert card["name"].endswith(f"/{info['name']}")
    assert [card[name] for name in ("version", "title", "websiteUrl")] == [
        info[name] for name in ("version", "title", "websiteUrl")
    ]
    assert card["remotes"][0]["supportedProtocolVersions"] == live["supportedVersions"]
    names = ("version", "title", "description", "websiteUrl")
    assert [card[name] for name in names] == [ENTRY[name] for name in names]


def test_the_card_can_be_listed_in_the_registry_as_the_documents_say(server: HostedThread) -> None:
    entry = card_of(server) | {"$schema": REGISTRY_SCHEMA["$id"]}
    jsonschema.validate(entry, REGISTRY_SCHEMA, jsonschema.Draft7Validator)


def test_the_card_lists_the_header_that_a_caller_must_send(server: HostedThread, team: Team) -> None:
    (header,) = card_of(server)["remotes"][0]["headers"]
    assert (header["name"], header["isSecret"], header["isRequired"]) == ("Authorization", True, True)
    assert "value" not in header
    with OidcProvider() as provider:
        both = team.environment | {"CALLERS_HTTP_AUTH": "tokens,oauth", "CALLERS_HTTP_OAUTH_ISSUER": provider.issuer}
        with HostedThread(environment=both) as other:
            assert card_of(other)["remotes"][0]["headers"] == [header | {"isRequired": False}]
        with HostedThread(environment=both | {"CALLERS_HTTP_AUTH": "oauth", "CALLERS_HTTP_TOKEN_FILE": ""}) as other:
            assert "headers" not in card_of(other)["remotes"][0]


@pytest.mark.parametrize("path", PATHS)
def test_a_document_is_open_to_scripts_of_any_site_and_may_be_kept_for_an_hour(server: HostedThread, path: str) -> None:
    strange = {"Host": "evil.example", "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}
    answers = {method: server.request(method, path, **strange) for method in ("GET", "HEAD", "OPTIONS")}
    assert {method: answer.status for method, answer in answers.items()} == {"GET": 200, "HEAD": 200, "OPTIONS": 204}
    for answer in answers.values():
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert "evil" not in str(answer)
    assert answers["GET"].body == server.request("GET", path).body  # whatever the request names
    assert answers["HEAD"].headers["etag"] == answers["GET"].headers["etag"]
    assert answers["HEAD"].headers["content-length"] == str(len(answers["GET"].body))
    assert "If-None-Match" in answers["OPTIONS"].headers["access-control-allow-headers"]
    assert answers["GET"].headers["access-control-expose-headers"] == "ETag"
    assert KEY not in str(answers)


@pytest.mark.parametrize(
    ("known", "status"),
    [("{etag}", 304), ("W/{etag}", 304), ('"other", {etag}', 304), ("*", 304), ('"other"', 200), ("", 200)],
)
def test_a_document_is_not_sent_again_to_a_client_that_has_it(server: HostedThread, known: str, status: int) -> None:
    etag = server.request("GET", CARD).headers["etag"]
    assert re.fullmatch('"[0-9a-f]{32}"', etag)
    assert server.request("GET", CATALOG).headers["etag"] != etag
    for method in ("GET", "HEAD"):
        answer = server.request(method, CARD, **{"If-None-Match": known.format(etag=etag)})
        assert (answer.status, answer.headers["etag"]) == (status, etag)
        assert bool(answer.body) == (status == 200 and method == "GET")
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_document_accepts_no_other_method(server: HostedThread, path: str, method: str) -> None:
    answer = server.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_without_the_setting_nothing_is_public(team: Team) -> None:
    environment = team.environment | {"CALLERS_HTTP_SERVER_CARD": ""}
    with HostedThread(environment=environment) as server:
        assert {server.request("GET", path).status for path in PATHS} == {404}
