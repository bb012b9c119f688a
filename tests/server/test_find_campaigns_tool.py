"""The tool ``find_campaigns`` as hosts and models get it: where it is listed, its definition, and its cost."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from callers_mcp import Settings, create_server
from callers_mcp.access import OPERATOR, Principal
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from tests.support.campaign_search import FEW, FIND, connected, find, number, serve, settings_for
from tests.support.campaigns import Json, campaign, wire_definition
from tests.support.constants import KEY, MAIN_ID, A, B
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, hosted, told
from tests.support.principals import someone

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "find_campaigns.json"


LISTED: list[tuple[Principal, dict[str, str], bool]] = [
    (OPERATOR, {}, False),
    (OPERATOR, {"organization_id": MAIN_ID}, True),
    (OPERATOR, {"sub_organization_id": A}, True),
    (OPERATOR, {"sub_organization_id": "main"}, False),
    (OPERATOR, {"sub_organizations": A}, True),
    (OPERATOR, {"sub_organizations": "main"}, False),
    (OPERATOR, {"sub_organizations": "main", "organization_id": MAIN_ID}, True),
    (someone("*"), {}, False),
    (someone("*"), {"organization_id": MAIN_ID}, True),
    (someone("*"), {"sub_organization_id": A}, True),
    (someone("*"), {"sub_organizations": A}, True),
    (someone("main"), {}, False),
    (someone("main"), {"organization_id": MAIN_ID}, True),
    (someone("main"), {"sub_organization_id": A}, False),
    (someone("main"), {"sub_organizations": A, "organization_id": MAIN_ID}, False),
    (someone(A), {}, True),
    (someone(A), {"organization_id": MAIN_ID}, True),
    (someone(A), {"sub_organizations": B}, False),
    (someone(A), {"sub_organizations": "main", "organization_id": MAIN_ID}, False),
    (someone(), {"organization_id": MAIN_ID, "sub_organization_id": A}, False),
]


@pytest.mark.parametrize("place", ["a", "zone"])
async def test_a_sub_organization_can_be_listed_whatever_its_id_is(api: FaultServer, place: str) -> None:
    async with Client(hosted(settings_for(api, organization_id=None), someone(place))) as client:
        assert FIND in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.parametrize(("caller", "given", "listed"), LISTED)
async def test_the_tool_is_listed_only_if_an_organization_is_known(
    api: FaultServer, caller: Principal, given: dict[str, str], listed: bool
) -> None:
    made = settings_for(api, **{"organization_id": None} | given)
    async with Client(create_server(made) if caller is OPERATOR else hosted(made, caller)) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["get_campaign", FIND][: 1 + listed]
        definition = tools[0].model_dump(mode="json", by_alias=True, exclude_none=True)
        assert definition == wire_definition(with_lists=listed)
        if listed:
            main = (
                caller.organizations.main
                and given.get("sub_organizations", "main") == "main"
                and "organization_id" in given
            )
            assert (await find(client, sub_organization_id="main" if main else A))["total"] == len(FEW)
        else:
            refused = await client.call_tool(FIND, {})
            assert failure(refused)["kind"] in ("forbidden", "not_configured")
            if caller is OPERATOR:
                assert "before the operator sets CALLERS_ORGANIZATION_ID" in told(refused)
                assert "by its id, which the user may know" in told(refused)
    assert len(api.requests) == listed


@pytest.mark.parametrize("organization", ["", "${CALLERS_ORGANIZATION_ID}", ORGANIZATION_ID])
async def test_the_variable_for_the_organization_decides_whether_it_is_there(
    sandbox: Sandbox, organization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLERS_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("CALLERS_API_KEY", API_KEY)
    monkeypatch.setenv("CALLERS_ORGANIZATION_ID", organization)
    there = organization == ORGANIZATION_ID
    async with Client(create_server(Settings.from_environment())) as client:
        listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        assert (FIND in (client.instructions or "")) is there
        if not there:
            assert failure(await client.call_tool(FIND, {}))["kind"] == "not_configured"
    assert listed == [wire_definition(with_lists=there), wire_definition(FIND)][: 1 + there]


@pytest.mark.slow
async def test_over_stdio_it_is_there_and_goes_on_from_another_servers_cursor(
    api: FaultServer, stdio_server: Callable[..., StdioServerParameters]
) -> None:
    serve(api, [campaign(id=number(at * 7_919 % 120), name=f"Campaign {at}") for at in range(120)])
    environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY, "CALLERS_ORGANIZATION_ID": MAIN_ID}
    async with connected(api) as here, Client(stdio_client(stdio_server(**environment))) as there:
        listed = (await there.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        assert listed == [wire_definition(with_lists=True), wire_definition(FIND)]
        assert FIND in (there.instructions or "")
        assert (await find(there, query="campaign", limit=1))["total"] == 120
        cursor = (await find(here, limit=50))["next_cursor"]
        page = await find(here, limit=50, cursor=cursor)
        assert await find(there, limit=50, cursor=cursor) == page
        assert (await find(there, limit=7, cursor=cursor))["campaigns"] == page["campaigns"][:7]


async def test_the_main_organization_without_its_id_is_an_error_that_names_the_setting(api: FaultServer) -> None:
    async with connected(api, organization_id=None, sub_organization_id=A) as client:
        assert (await find(client))["total"] == len(FEW)
        result = await client.call_tool(FIND, {"sub_organization_id": "main"})
    assert failure(result)["kind"] == "not_configured"
    assert "CALLERS_ORGANIZATION_ID" in told(result)
    assert len(api.requests) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_protocol_gives_the_same_page(api: FaultServer, mode: Any) -> None:
    made = settings_for(api)
    async with Client(create_server(made), mode=mode) as client:
        assert await find(client, query="spring") == {
            "campaigns": [
                {
                    "id": number(1),
                    "name": "Spring renewals",
                    "status": "running",
                    "direction": "outbound",
                    "group": "Renewals",
                    "needs_attention": False,
                }
            ],
            "matched": 1,
            "total": len(FEW),
            "next_cursor": None,
            "is_whole": True,
            "notes": [],
        }


def test_a_change_of_the_definition_shows_in_the_snapshot() -> None:
    definition = wire_definition(FIND)
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(json.dumps(definition, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert definition == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def _schemas(schema: Json) -> Iterator[Json]:
    yield schema
    for inner in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from _schemas(inner)


PLAIN = {"type", "properties", "required", "additionalProperties", "items", "description", "enum", "pattern"} | {
    "minimum",
    "maximum",
    "maxLength",
}


@pytest.mark.parametrize("name", ["inputSchema", "outputSchema"])
def test_the_schemas_are_plain_and_valid_in_the_dialects_of_hosts(name: str) -> None:
    schema = wire_definition(FIND)[name]
    assert set().union(*_schemas(schema)) <= PLAIN
    assert all("type" in inner for inner in _schemas(schema))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft7Validator.check_schema(schema)


def test_each_argument_has_one_type_and_none_is_required() -> None:
    schema = wire_definition(FIND)["inputSchema"]
    types = {name: inner["type"] for name, inner in schema["properties"].items()}
    assert types == dict.fromkeys(
        ["status", "direction", "group", "sub_organization_id", "cursor", "query"], "string"
    ) | {"needs_attention": "boolean", "limit": "integer"}
    assert schema["additionalProperties"] is False
    assert not schema.get("required")
    assert "null" not in json.dumps(schema)
    assert (schema["properties"]["limit"]["minimum"], schema["properties"]["limit"]["maximum"]) == (1, 50)
    assert schema["properties"]["query"]["maxLength"] == 200


def test_what_a_model_pays_for_both_tools_in_every_chat_stays_small() -> None:
    definitions = [
        {name: definition[name] for name in ("name", "title", "description", "inputSchema")}
        for definition in (wire_definition(with_lists=True), wire_definition(FIND))
    ]
    assert len(json.dumps(definitions, ensure_ascii=False, separators=(",", ":")).encode()) <= 1_900


def test_the_query_comes_last_because_models_fill_in_what_comes_first() -> None:
    assert list(wire_definition(FIND)["inputSchema"]["properties"])[-1] == "query"


@pytest.mark.parametrize("says", ["Where no id is known", "get_campaign", "never instructions", "name", "misspelt"])
def test_the_description_says_what_it_finds_and_what_comes_next(says: str) -> None:
    assert says in wire_definition(FIND)["description"]
    assert wire_definition(FIND)["annotations"]["readOnlyHint"] is True
