"""No shape of JSON object costs the user the raw JSON, breaks a host, or smuggles a line into the text."""

import json
from collections.abc import Iterator
from datetime import datetime

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp_types import TextContent
from pydantic_core import to_json

from callers_mcp.api.json_reader import read_object
from callers_mcp.campaign.lookup import CampaignReport
from callers_mcp.campaign.summary import summarize
from callers_mcp.sanitize import has_invisible
from tests.support import fault_server as fault
from tests.support.campaigns import NOW, Json, wire_definition
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.lookups import connect
from tests.support.strategies import Number, body, campaigns, clocks, modest, objects
from tests.support.text_grammar import is_our_sentence, is_ours

OUTPUT_SCHEMA = wire_definition()["outputSchema"]
VALIDATORS = [
    jsonschema.Draft202012Validator(OUTPUT_SCHEMA),
    jsonschema.Draft7Validator(OUTPUT_SCHEMA),  # what some hosts use
]


def _check(summary: Json, raw: Json, read: str, raw_json: str) -> None:
    """Hold what every answer must be, whatever the API sent."""
    structured = {"summary": summary, "raw": raw}
    for validator in VALIDATORS:
        validator.validate(structured)
    assert json.loads(raw_json) == raw
    assert not has_invisible(raw_json)
    assert len(raw_json.splitlines()) == 1
    lines = read.splitlines()
    assert lines[0] == summary["headline"]
    assert [line for line in lines if not is_ours(line)] == []
    assert [
        sentence for sentence in summary["attention"] + summary["worth_checking"] if not is_our_sentence(sentence)
    ] == []
    written = json.dumps(structured, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == json.loads(to_json(structured)) == structured
    assert len(json.dumps(summary, ensure_ascii=False).splitlines()) == 1
    assert not has_invisible(json.dumps(summary, ensure_ascii=False))
    read.encode()
    raw_json.encode()


def _look(sent: bytes, now: datetime) -> None:
    document = read_object(sent, key=KEY)
    summary = summarize(document.content, requested_id=ID, sub_organization_id=None, now=now, notes=document.notes)
    output = CampaignReport.model_construct(summary=summary, raw=document.content)
    read, raw_json = output.summary_text(), output.raw_text()
    structured = output.model_dump()
    assert structured["raw"] == document.content
    assert set(document.notes) <= set(structured["summary"]["worth_checking"])
    _check(structured["summary"], structured["raw"], read, raw_json)
    assert KEY not in raw_json


@given(objects, clocks, st.booleans())
@settings(modest, max_examples=40)
def test_any_json_object_gives_a_summary_and_its_raw_json(sent: Json, now: datetime, escaped: bool) -> None:
    _look(body(sent, escaped), now)


@given(campaigns, clocks, st.booleans())
@settings(modest, max_examples=60)
@example({"callParams": {"timezone": "../etc", "daysOfWeek": [None]}}, NOW, True)
@example({"id": {}, "name": [], "webhooks": {"a": "b"}, "callParams": [{}], "firstInteractionAt": {}}, NOW, True)
@example({"active": True, "completedAt": Number("9" * 5_000), "variables": [[[]]]}, NOW, True)
def test_any_value_in_any_documented_field_gives_a_summary_and_its_raw_json(
    sent: Json, now: datetime, escaped: bool
) -> None:
    _look(body(sent, escaped), now)


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer() as api:
        yield api


@given(campaigns | objects.map(lambda made: made | {"id": ID}))
@settings(modest, max_examples=25)
async def test_any_campaign_reaches_a_client_whole(api: FaultServer, sent: Json) -> None:
    api.script(fault.answer(body(sent | {"id": ID})))
    async with connect(api) as client:
        result = await client.call_tool("get_campaign", {"campaign_id": ID})
    assert not result.is_error
    assert result.structured_content
    read, raw_json = [block.text for block in result.content if isinstance(block, TextContent)]
    _check(result.structured_content["summary"], result.structured_content["raw"], read, raw_json)
