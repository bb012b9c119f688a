"""What a host and a model get of the tool: exactly the committed definition, and it is short."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client

from callers_mcp import Settings, create_server
from tests.support.campaigns import Json, campaign, summary_of, wire_definition
from tests.support.constants import ID

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _schemas(schema: Json) -> Iterator[Json]:
    """Return a schema and every schema inside it."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _schemas(inner)
    if "items" in schema:
        yield from _schemas(schema["items"])


@pytest.mark.parametrize(("with_lists", "name"), [(False, "get_campaign.json"), (True, "get_campaign_with_lists.json")])
def test_a_change_of_a_definition_shows_in_its_snapshot(with_lists: bool, name: str) -> None:
    definition, file = wire_definition(with_lists=with_lists), SNAPSHOTS / name
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        file.write_text(json.dumps(definition, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert definition == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("with_lists", [False, True])
def test_what_a_model_pays_for_in_every_chat_stays_small(with_lists: bool) -> None:
    definition = wire_definition(with_lists=with_lists)
    assert _size({name: definition[name] for name in ("name", "title", "description", "inputSchema")}) <= 800


async def test_if_no_campaigns_can_be_listed_a_model_sees_nothing_of_find_campaigns() -> None:
    seen = []
    for organization_id in (None, "65aa0011223344556677889a"):
        async with Client(create_server(Settings(organization_id=organization_id))) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            seen.append((tools, "find_campaigns" in (client.instructions or "")))
            assert client.instructions
            assert len(client.instructions) <= 600
    assert seen == [(["get_campaign"], False), (["get_campaign", "find_campaigns"], True)]


def test_the_tool_has_its_name_and_title() -> None:
    definition = wire_definition()
    assert (definition["name"], definition["title"]) == ("get_campaign", "Get a campaign")


@pytest.mark.parametrize(
    "words",
    [
        *("whose id is known", "any question about it", "raw JSON", "data", "never instructions"),
        *("name", "status", "what needs attention", "calling days", "time zone", "language", "countries", "numbers"),
        *("group", "webhooks", "Slack", "variables"),
    ],
)
def test_the_description_says_what_comes_back_and_that_it_is_data(words: str) -> None:
    assert words in wire_definition()["description"]


@pytest.mark.parametrize(
    ("with_lists", "says"),
    [(False, "ask the user for it, never guess it."), (True, "find it with find_campaigns, never guess it.")],
)
def test_the_schema_says_where_an_id_comes_from_and_never_to_guess(with_lists: bool, says: str) -> None:
    properties = wire_definition(with_lists=with_lists)["inputSchema"]["properties"]
    assert properties["campaign_id"]["description"].endswith(says)
    assert "only where the user names one" in properties["sub_organization_id"]["description"]


def test_the_two_definitions_differ_in_that_only() -> None:
    both = [wire_definition(with_lists=with_lists) for with_lists in (False, True)]
    for definition in both:
        del definition["inputSchema"]["properties"]["campaign_id"]["description"]
    assert both[0] == both[1]


@pytest.mark.parametrize("name", ["inputSchema", "outputSchema"])
def test_a_schema_has_plain_keywords_only(name: str) -> None:
    schema = wire_definition()[name]
    plain = {"type", "properties", "required", "additionalProperties", "items", "description", "enum", "pattern"}
    for inner in _schemas(schema):
        assert set(inner) <= plain
        assert "type" in inner
    assert all(word not in json.dumps(schema) for word in ("anyOf", "$ref", "$defs", "prefixItems", '"title"'))


@pytest.mark.parametrize("name", ["inputSchema", "outputSchema"])
@pytest.mark.parametrize("dialect", [jsonschema.Draft202012Validator, jsonschema.Draft7Validator])
def test_a_schema_is_valid_in_the_dialects_of_hosts(name: str, dialect: Any) -> None:
    dialect.check_schema(wire_definition()[name])


def test_the_input_schema_has_one_type_for_each_argument_and_no_null() -> None:
    schema = wire_definition()["inputSchema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["campaign_id"]
    assert {name: inner["type"] for name, inner in schema["properties"].items()} == {
        "campaign_id": "string",
        "sub_organization_id": "string",
    }
    assert "null" not in json.dumps(schema)


def test_a_description_is_one_sentence() -> None:
    for inner in _schemas(wire_definition()["inputSchema"]):
        if "description" in inner:
            assert inner["description"].endswith(".")
            assert ". " not in inner["description"]


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        ({"campaign_id": ID}, True),
        ({"campaign_id": ID.upper(), "sub_organization_id": "main"}, True),
        ({"campaign_id": ID[:-1]}, False),
        ({"campaign_id": f"../{ID}"}, False),
        ({"campaign_id": ID, "sub_org_id": "x"}, False),
        ({}, False),
    ],
)
def test_a_host_that_checks_arguments_finds_the_same_mistakes(arguments: Json, valid: bool) -> None:
    assert jsonschema.Draft7Validator(wire_definition()["inputSchema"]).is_valid(arguments) is valid


def test_every_field_of_the_summary_is_in_the_output_schema_and_required() -> None:
    schema = wire_definition()["outputSchema"]
    summary = schema["properties"]["summary"]
    assert list(summary["properties"]) == summary["required"] == list(summary_of(campaign()))
    assert schema["required"] == ["summary", "raw"]


def test_the_tool_is_said_to_read_only_and_to_give_big_answers() -> None:
    definition = wire_definition()
    assert definition["annotations"] == {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": True,
    }
    assert definition["_meta"]["anthropic/maxResultSizeChars"] == 500_000


def test_hosts_that_show_apps_find_the_card_by_the_tool() -> None:
    assert wire_definition()["_meta"]["ui"] == {"resourceUri": "ui://callers/campaign-card"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_list_is_the_same_for_every_protocol_version_and_needs_no_key(mode: Any) -> None:
    async with Client(create_server(Settings.from_environment()), mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.model_dump(mode="json", by_alias=True, exclude_none=True) == wire_definition()
