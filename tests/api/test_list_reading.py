"""Reading of lists: each campaign separately, so that an odd one affects no other, and without blocking other work."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp_types import TextContent

from callers_mcp.api.errors import UnexpectedResponse
from callers_mcp.api.json_list import MAX_ELEMENT_BYTES, MAX_ELEMENTS, STEP_BYTES, read_objects
from callers_mcp.api.json_reader import MAX_DEPTH, read_object
from callers_mcp.api.key_mask import MASK
from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.responses import RawResponse, parse_list_response
from callers_mcp.campaign.listing import parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import count_distinct, find, page
from tests.support.campaigns import FIELDS, NOW, Json, campaign, replaced, wire_definition
from tests.support.constants import ID, KEY, MAIN_ID, OTHER_ID
from tests.support.fault_server import FaultServer
from tests.support.hostile_json import ELEMENTS, list_of
from tests.support.lookups import connect, failure
from tests.support.strategies import Number, modest, objects, render, values
from tests.support.strategies import campaigns as odd_campaigns

LOOKUP = CampaignRequest(None, None, KEY, "CALLERS_API_KEY")
SCHEMA = jsonschema.Draft202012Validator(wire_definition("find_campaigns")["outputSchema"])
blanks = st.text(" \t\r\n", max_size=3)


def read(sent: bytes, key: str = KEY) -> list[Json]:
    return [content for content in read_objects(sent, key=key, envelope={}) if content is not None]


def alone(element: str) -> Json:
    """Read an element like the answer to a single look-up; what is not a campaign becomes an empty one in a list."""
    if not element.strip().startswith("{"):
        return {}
    return read_object(element.encode("utf-8", "surrogatepass"), key=KEY).content


def written(content: object) -> bytes:
    return json.dumps(content).encode()


@given(st.lists(objects | odd_campaigns | values, max_size=6), st.booleans(), blanks)
@settings(modest, max_examples=30)
@example([{KEY: 1, KEY.upper(): 2}, {"\ud800": "\U000e0041"}, [[[]]], None, KEY, 1], True, " \n")
@example([campaign(name=f"x {KEY} \ud800\U000e0041", id=KEY)], True, "")
@example([campaign(name=f"x {KEY.upper()} \U000e0041")], False, "")
@example([campaign(name=Number("1e999")), campaign(name=Number("9" * 400))], False, "")
def test_each_campaign_of_any_list_gives_the_same_row_as_a_single_campaign(
    sent: list[Any], escaped: bool, blank: str
) -> None:
    elements = [render(element, escaped) for element in sent]
    text = blank + "[" + blank + f"{blank},{blank}".join(elements) + blank + "]" + blank
    rows = [parse_row(content, NOW) for content in read(text.encode("utf-8", "surrogatepass"))]
    assert rows == [parse_row(alone(element), NOW) for element in elements]
    assert KEY.lower() not in str(rows).lower()


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@given(st.lists(odd_campaigns | values, max_size=4), st.integers(0, 4))
@settings(modest, max_examples=25)
async def test_an_odd_element_does_not_affect_other_campaigns(server: FaultServer, sent: list[Any], at: int) -> None:
    content = [*sent[:at], campaign(id=OTHER_ID, name="Healthy one"), *sent[at:]]
    count = count_distinct(content)
    server.script(fault.answer(render(content, True).encode()))
    async with connect(server, organization_id=MAIN_ID) as client:
        result = await find(client, limit=50)
        healthy = page(await find(client, query="healthy one"))
    shown = page(result)
    SCHEMA.validate(shown)
    assert (shown["total"], shown["matched"], len(shown["campaigns"])) == (count,) * 3
    expected = {
        "id": OTHER_ID,
        "name": "Healthy one",
        "status": "running",
        "direction": "outbound",
        "group": "Renewals",
    }
    assert expected | {"needs_attention": False} in shown["campaigns"]
    assert healthy["campaigns"][0]["name"] == "Healthy one"
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert len(block.text.splitlines()) == count + 3, "a line for each, whatever it holds"


ODD_VALUES: list[Any] = [None, True, 7, -0.5, "odd", [], [None, {}], {"a": []}]


async def test_a_field_of_a_wrong_type_does_not_affect_other_campaigns() -> None:
    odd = [replaced(path, value) for path in FIELDS for value in ODD_VALUES]
    odd = [one | ({"id": f"{number:024x}"} if one["id"] == ID else {}) for number, one in enumerate(odd)]
    content = [*odd, *ODD_VALUES, campaign(name="Last of all")]
    with FaultServer(fault.answer(content)) as server:
        async with connect(server, organization_id=MAIN_ID) as client:
            everything = page(await find(client, limit=50))
            last = page(await find(client, query="last of all"))
    assert everything["total"] == len(content)
    assert [row["name"] for row in last["campaigns"]] == ["Last of all"]


DEEP = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
REFUSED: dict[str, tuple[bytes, str]] = {
    "an object": (written(campaign()), "an object instead of a list of campaigns"),
    "null": (b"null", "null instead of a list"),
    "text": (written("[]"), "text instead of a list"),
    "a number": (b"7", "a number instead of a list"),
    "a word": (b"true", "true or false instead of a list"),
    "NaN for a list": (b"NaN", "not JSON"),
    "NaN for a campaign": (b"[{}, NaN]", "not JSON"),
    "NaN in a campaign": (b'[{}, {"a": NaN}]', "not JSON"),
    "NaN in what is no campaign": (b"[[Infinity]]", "not JSON"),
    "nothing after it began": (b"[", "not JSON"),
    "no end": (b"[{}", "not JSON"),
    "cut in a campaign": (b'[{}, {"id": "66', "not JSON"),
    "cut after a comma": (b"[{},", "not JSON"),
    "a comma too many": (b"[{},]", "not JSON"),
    "only a comma": (b"[,]", "not JSON"),
    "two commas": (b"[{},,{}]", "not JSON"),
    "no comma": (b"[{} {}]", "not JSON"),
    "another end": (b"[{}}", "not JSON"),
    "more behind": (b"[{}] []", "not JSON"),
    "a word behind": (b"[{}]x", "not JSON"),
    "a zero byte behind": (b"[{}]\0", "not JSON"),
    "a mark within": (b"[\xef\xbb\xbf{}]", "not JSON"),
    "two marks": (b"\xef\xbb\xbf" * 2 + b"[]", "not JSON"),
    "UTF-16": ("[]".encode("utf-16"), "not JSON"),
    "odd blanks": ("[\u00a0{}]".encode(), "not JSON"),
    "a form feed": (b"[\f{}]", "not JSON"),
    "single quotes": (b"[{'id': 1}]", "not JSON"),
    "a control character": (b'[{"id": "a\nb"}]', "not JSON"),
    "lines of JSON": (b"{}\n{}", "an object instead of a list"),
    "deep, without an end": (b"[" + b'{"a":' * 100_000, "not JSON"),
    "deep, without an end, no campaign": (b"[" * 100_000, "not JSON"),
    "a long text without an end": (b'["' + b"x" * 50_000, "not JSON"),
    "a long text that ends in an escape": (b'["' + b"x" * 50_000 + b"\\", "not JSON"),
    "a bracket of another kind": (b'[{"a": [1}]}]', "not JSON"),
    "too many": (b"[" + b"1," * MAX_ELEMENTS + b"1]", "over 100,000 campaigns"),
    "far too deep, no list": (b'{"a":' * 100_000, "an object instead of a list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_is_not_a_list_of_campaigns_is_refused_with_the_reason(name: str) -> None:
    sent, words = REFUSED[name]
    with pytest.raises(UnexpectedResponse, match=words) as refused:
        [*parse_list_response(RawResponse(200, {}, sent), LOOKUP, {})]
    assert refused.value.http_status == 200
    assert not refused.value.retryable


READ: dict[str, tuple[bytes, list[Json]]] = {
    "none": (b"[]", []),
    "none, with blanks": (b" \r\n\t[ \n] ", []),
    "one": (b"[{}]", [{}]),
    "no campaigns": (b'[null, 1, "x", [[1]], true, {"a": 1}]', [{}, {}, {}, {}, {}, {"a": 1}]),
    "a byte order mark": (b'\xef\xbb\xbf[{"a": 1}]', [{"a": 1}]),
    "as deep as may be": (b"[" + DEEP + b"]", [json.loads(DEEP)]),
    "too deep for raw": (
        b'[{"id": "a", "x": ' + DEEP + b'}, {"a": 1}]',
        [{"id": "a", "x": json.loads(DEEP)}, {"a": 1}],
    ),
    "far too deep": (b'[{"id": "]", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b'}, {"a": 1}]', [{}, {"a": 1}]),
    "far too deep, no campaign": (b"[" * 100_000 + b'"]\\"["' + b"]" * 99_999 + b', {"a": 1}]', [{}, {"a": 1}]),
    "no UTF-8": (b'[{"a": "\xff"}, {"a": "b"}]', [{"a": "\ufffd"}, {"a": "b"}]),
    "a lone surrogate": (b'[{"a": "\\ud800"}, {"a": 1}]', [{"a": "\ufffd"}, {"a": 1}]),
    "tags": ('[{"a": "x\U000e0041"}]'.encode(), [{"a": "x\ufffd"}]),
    "one name twice": (b'[{"a": 1, "a": 2}, {"a": 3}]', [{"a": 2}, {"a": 3}]),
    "beyond a double": (b'[{"a": 1e999}, {"a": -1e999}]', [{"a": "1e999"}, {"a": "-1e999"}]),
    "a long integer": (b'[{"a": ' + b"9" * 50_000 + b"}]", [{"a": "9" * 50_000}]),
    "the key in a value": (written([{"a": f"x {KEY.upper()}"}]), [{"a": f"x {MASK}"}]),
    "the key, escaped": (f'[{{"a": "\\u{ord(KEY[0]):04x}{KEY[1:]}"}}]'.encode(), [{"a": MASK}]),
    "brackets in a text": (b'[{"a": "}], [{"}, {"b": "\\"]"}]', [{"a": "}], [{"}, {"b": '"]'}]),
}


@pytest.mark.parametrize("name", READ)
def test_a_list_is_read_like_its_campaigns(name: str) -> None:
    sent, expected = READ[name]
    assert read(sent) == expected


@pytest.mark.parametrize(
    "sent",
    [b"", b" \n", b"<p>", b"\xef\xbb\xbf<p>", b"{}", b'{"status": "error", "message": "no"}', b'{"error": "no"}'],
)
async def test_an_answer_that_is_not_a_list_is_an_error_of_the_tool(sent: bytes) -> None:
    with FaultServer(fault.answer(sent)) as server:
        async with connect(server, organization_id=MAIN_ID) as client:
            result = await find(client)
    assert failure(result)["kind"] == ("rejected" if b"no" in sent else "unexpected_response")
    assert failure(result)["http_status"] == 200


@pytest.mark.parametrize("filling", [[1] * 80_000, [{}] * 60_000, "x" * 250_000, [["\\" * 50]] * 1_000])
def test_a_long_campaign_keeps_its_name(filling: object) -> None:
    long = campaign(variables=filling, name=f"Long {KEY}")
    contents = read(json.dumps([campaign(), long, campaign()]).encode())
    assert contents == [campaign(), long | {"name": "Long [API key]"}, campaign()]


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_campaign_beyond_the_limits_affects_no_other(name: str) -> None:
    contents = read(list_of(ELEMENTS[name](MAX_ELEMENT_BYTES + 1)))
    assert contents == [campaign(), {}, campaign()]


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_list_is_read_in_short_steps_whose_number_grows_with_its_length(name: str) -> None:
    bodies = [b"[" + ELEMENTS[name](length) + b"]" for length in (250_000, 500_000)]
    steps = [len(list(read_objects(body, key=KEY, envelope={}))) for body in bodies]
    assert steps[0] >= 250_000 / STEP_BYTES / 2, "a step reads at most the rest of a step and another one"
    assert steps[0] <= 250_000 / STEP_BYTES * 2
    assert steps[1] <= 2.2 * steps[0]


def test_a_constant_that_is_not_json_is_refused_even_in_a_long_campaign() -> None:
    with pytest.raises(UnexpectedResponse, match="not JSON"):
        read(b'[{"name": "' + b"x" * 200_000 + b'", "limit": NaN}]')
