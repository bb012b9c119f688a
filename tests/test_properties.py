"""No shape of JSON object costs the user the raw JSON, breaks a host, or smuggles a line into the text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mcp_types import TextContent
from pydantic_core import to_json

from callers_mcp.api.json import read_object
from callers_mcp.campaign.summary import summarize
from callers_mcp.tools.get_campaign import GetCampaignOutput, texts
from callers_mcp.untrusted import has_hidden
from tests.campaigns import ID, KEY, LISTS, NOW, STRING_FIELDS, Api, Json, is_our_sentence, is_ours, wire_definition

OUTPUT_SCHEMA = wire_definition()["outputSchema"]
VALIDATORS = [
    jsonschema.Draft202012Validator(OUTPUT_SCHEMA),
    jsonschema.Draft7Validator(OUTPUT_SCHEMA),  # what some hosts use
]

# The same examples in every run: a verdict on a change is about the change.
modest = settings(deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Number:
    """A number as it stands in the JSON, however long."""

    digits: str


def render(value: Any, escaped: bool) -> str:
    """Write ``value`` as JSON: all in ASCII, or with every character as it is."""
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, dict):
        members = (f"{json.dumps(name, ensure_ascii=escaped)}:{render(value[name], escaped)}" for name in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(render(member, escaped) for member in value) + "]"
    return json.dumps(value, ensure_ascii=escaped)


def body(value: Json, escaped: bool = True) -> bytes:
    """Write ``value`` as an API might send it; lone surrogates stand as escapes, or make it no valid UTF-8."""
    return render(value, escaped).encode("utf-8", "surrogatepass")


odd_texts = st.text(
    st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Mn", "Po"]) | st.sampled_from('"\\aA1:/\n')
)
strings = st.one_of(st.text(), odd_texts, st.sampled_from(["", " ", KEY, "\U000e0041", "\ud800", "- x", "Status: x"]))
numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["1e999", "-1e999", "1e-999", "-0", "9" * 309, "9" * 5_000, "1" + "0" * 308]).map(Number),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, strings),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=10,
)

times = st.one_of(
    st.datetimes().map(lambda at: at.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.sampled_from(
        [
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59.999999-23:59",
            "2026-W45-4",
            "2026-11-05T24:00:00Z",
            "20261105",
            "2026-11-05T12:00:00.123456789Z",
            "2026-13-01",
            "+2026-11-05",
            "0000-00-00T00:00:00Z",
            "1762344000",
            "now",
        ]
    ),
)
zones = st.timezone_keys() | st.sampled_from(
    [
        "../etc",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        ".",
        "..",
        "localtime",
        "posixrules",
        "tzdata.zi",
        "zone.tab",
        "leapseconds",
        "Factory",
        "right/UTC",
        "CON",
        "europe/london",
        "Europe/",
        "Europe//London",
        "Europe/London\x00",
        "UTC+2",
        "+02:00",
    ]
)
days = st.sampled_from(
    ["MONDAY", "Tue", "wed.", "Thurs", "FRIDAY", "Saturday", "sunday", "Feiertag", "1", "Mon\u200bday"]
)
urls = st.one_of(
    st.sampled_from(
        [
            "https://[",
            "https://[::1]/x",
            "http://[::1%25eth0]/",
            "https://a\u2100b/",
            "//",
            "https:",
            "https://a:99999999/",
            "ftp://a",
            "https://\u202ea/",
            "https://a\nb/",
            "HTTPS://A.example",
            "https://a@b@c/",
            "https://%00/",
            "https://\u0130/",
        ]
    ),
    strings.map(lambda text: f"https://{text}"),
    strings.map(lambda text: f"http://{text}/x"),
)
kinds = {
    "id": st.just(ID),
    "active": st.booleans(),
    "isIncoming": st.booleans(),
    "pauseNewChats": st.booleans(),
    "firstInteractionAt": times,
    "completedAt": times,
    "callParams.timezone": zones,
    "callParams.daysOfWeek": st.lists(days | strings, max_size=9),
    "webhooks": st.lists(urls, max_size=4),
    "slackUrl": urls,
}


def _field(path: str) -> st.SearchStrategy[Any]:
    documented = st.lists(strings, max_size=20) if path in LISTS else strings
    return st.one_of(kinds.get(path, documented), kinds.get(path, documented), values)


outer = {path: _field(path) for path in [*STRING_FIELDS, "active", "isIncoming", "pauseNewChats"] if "." not in path}
inner = {path.partition(".")[2]: _field(path) for path in STRING_FIELDS if "." in path}
call_params = st.fixed_dictionaries({}, optional=inner) | values
campaigns = st.fixed_dictionaries({}, optional=outer | {"callParams": call_params, "unknown": values})
objects = st.dictionaries(strings, values, max_size=6)
clocks = st.just(NOW) | st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)


def _check(summary: Json, raw: Json, read: str, raw_json: str) -> None:
    """Hold what every answer must be, whatever the API sent."""
    structured = {"summary": summary, "raw": raw}
    for validator in VALIDATORS:
        validator.validate(structured)
    assert json.loads(raw_json) == raw
    assert not has_hidden(raw_json)
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
    assert not has_hidden(json.dumps(summary, ensure_ascii=False))
    read.encode()
    raw_json.encode()


def _look(sent: bytes, now: datetime) -> None:
    document = read_object(sent, key=KEY)
    summary = summarize(document.content, asked_for=ID, sub_organization_id=None, now=now, changes=document.changes)
    output = GetCampaignOutput.model_construct(summary=summary, raw=document.content)
    read, raw_json = texts(output)
    structured = output.model_dump()
    assert structured["raw"] == document.content
    assert set(document.changes) <= set(structured["summary"]["worth_checking"])
    _check(structured["summary"], structured["raw"], read, raw_json)
    assert KEY not in raw_json


@given(objects, clocks, st.booleans())
@settings(modest, max_examples=60)
def test_any_json_object_gives_a_summary_and_its_raw_json(sent: Json, now: datetime, escaped: bool) -> None:
    _look(body(sent, escaped), now)


@given(campaigns, clocks, st.booleans())
@settings(modest, max_examples=100)
@example({"callParams": {"timezone": "../etc", "daysOfWeek": [None]}}, NOW, True)
@example({"id": {}, "name": [], "webhooks": {"a": "b"}, "callParams": [{}], "firstInteractionAt": {}}, NOW, True)
@example({"active": True, "completedAt": Number("9" * 5_000), "variables": [[[]]]}, NOW, True)
def test_any_value_in_any_documented_field_gives_a_summary_and_its_raw_json(
    sent: Json, now: datetime, escaped: bool
) -> None:
    _look(body(sent, escaped), now)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with Api() as api:
        yield api


@given(campaigns | objects.map(lambda made: made | {"id": ID}))
@settings(modest, max_examples=25)
async def test_any_campaign_reaches_a_client_whole(api: Api, sent: Json) -> None:
    api.body = body(sent | {"id": ID})
    async with api.client() as client:
        result = await client.call_tool("get_campaign", {"campaign_id": ID})
    assert not result.is_error
    assert result.structured_content
    read, raw_json = [block.text for block in result.content if isinstance(block, TextContent)]
    _check(result.structured_content["summary"], result.structured_content["raw"], read, raw_json)
