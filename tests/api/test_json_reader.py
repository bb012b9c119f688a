"""The raw JSON: equal in value to what the API sent, except for a few changes, each of which is noted."""

import json
from typing import Any

import pytest
from mcp_types import TextContent

from callers_mcp.api.errors import UnexpectedResponse
from callers_mcp.api.json_reader import Document, read_object
from callers_mcp.campaign.urls import redact_urls
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.constants import KEY
from tests.support.fault_server import FaultServer
from tests.support.lookups import look_up

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
TAG = "\U000e0041"
LONG = "9" * 5_000

BYTES = "In raw, bytes that were not UTF-8 became U+FFFD."
SURROGATES = "In raw, a lone surrogate became U+FFFD."
TAGS = "In raw, invisible Unicode tag characters, which can hide instructions from people, became U+FFFD."
NUMBERS = "In raw, a number beyond the range of a double stands as a string."
NAMES = "In raw, fields of the same name were given a number."
MASKED = "The API's answer held the API key; in raw it stands as [API key]."


def _read(text: str | bytes) -> Document:
    return read_object(text if isinstance(text, bytes) else text.encode(), key=KEY)


def _types(value: Any) -> Any:
    """Return the shape of a value with its types: 1, 1.0 and true are equal in Python, and differ in JSON."""
    if isinstance(value, dict):
        return {name: _types(member) for name, member in value.items()}
    return [_types(member) for member in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        json.dumps(campaign(unknown={"deep": [[], {}, None, True, 0, -0.5]})),
        json.dumps(campaign(), indent=2),
        '{"": 1, " ": 2, "a.b": 3, "id": {"id": []}}',
        '{"integers": [0, -1, 9007199254740993, 18446744073709551616], "reals": [1.0, 1e3, 0.1, -1.5e-300]}',
        '{"escapes": "\\u0000\\u001f\\n\\t\\"\\\\\\/\\u00e9\\ud83d\\ude00\\u202e\\u2028"}',
        '{"as it is": "caf\u00e9 \u202e \u2028 \u200b \x7f \U0001f600"}',
        '{"joiners": "\u06cc\u200c\u0647 \u2764\ufe0f"}',
        json.dumps({"flags": [ENGLAND, SCOTLAND + WALES, f"a{ENGLAND}b"]}),
        json.dumps({"flags": f"a{ENGLAND}b", WALES: 1}, ensure_ascii=False),
        f'{{"largest": [{"1" + "0" * 308}, 1.7976931348623157e308]}}',
        f'{{"short": "{KEY[:-1]}"}}',
        '{"status": "error", "id": "1"}',
    ],
)
def test_valid_json_is_not_changed(text: str) -> None:
    document = _read(text)
    assert _types(document.content) == _types(json.loads(text))
    assert document.notes == ()


def test_a_byte_order_mark_is_not_part_of_the_value() -> None:
    assert _read(b'\xef\xbb\xbf{"a": 1}').content == {"a": 1}


@pytest.mark.parametrize(
    ("text", "content", "change"),
    [
        ('{"a": "x\\ud800y"}', {"a": "x\ufffdy"}, SURROGATES),
        ('{"a": "\\udc00\\ud800"}', {"a": "\ufffd\ufffd"}, SURROGATES),
        ('{"x\\udfff": [{"y\\ud800": 1}]}', {"x\ufffd": [{"y\ufffd": 1}]}, SURROGATES),
        (b'{"a": "x\xffy"}', {"a": "x\ufffdy"}, BYTES),
        ('{"a": 1e400}', {"a": "1e400"}, NUMBERS),
        ('{"a": [-1.5E+999, 1]}', {"a": ["-1.5E+999", 1]}, NUMBERS),
        (f'{{"a": {"9" * 309}}}', {"a": "9" * 309}, NUMBERS),
        (f'{{"a": {LONG}}}', {"a": LONG}, NUMBERS),
        (f'{{"a": -{LONG}}}', {"a": f"-{LONG}"}, NUMBERS),
        (f'{{"a": "x{TAG}y"}}', {"a": "x\ufffdy"}, TAGS),
        ('{"a": "x\\udb40\\udc41y"}', {"a": "x\ufffdy"}, TAGS),
        (f'{{"x{TAG}": {{"y{TAG}": 1}}}}', {"x\ufffd": {"y\ufffd": 1}}, TAGS),
        (f'{{"a": "{ENGLAND}{TAG}{ENGLAND[:-1]}"}}', {"a": f"{ENGLAND}\ufffd\U0001f3f4" + "\ufffd" * 5}, TAGS),
        (f'{{"a": "x {KEY} y {KEY}"}}', {"a": "x [API key] y [API key]"}, MASKED),
        (f'{{"Bearer {KEY}": [["{KEY}"]]}}', {"Bearer [API key]": [["[API key]"]]}, MASKED),
        (f'{{"a": "{KEY} {KEY[:9]}\u200b{KEY[9:]}"}}', {"a": "[API key] [API key]"}, MASKED),
        (f'{{"a": "\\u{ord(KEY[0]):04x}{KEY[1:]}"}}', {"a": "[API key]"}, MASKED),
    ],
)
def test_what_cannot_be_passed_on_is_replaced_and_noted(text: str | bytes, content: Json, change: str) -> None:
    document = _read(text)
    assert document.content == content
    assert document.notes == (change,)


def test_every_kind_of_change_is_noted_once() -> None:
    document = _read(f'{{"a": ["\\ud800{TAG}", "\\ud800{TAG}"], "b": [1e999, 1e999], "c": "{KEY}"}}')
    assert sorted(document.notes) == sorted([SURROGATES, TAGS, NUMBERS, MASKED])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a\\ud800": 1, "a\\ud801": 2, "a\\udfff": 3}', [1, 2, 3]),
        ('{"a\\ud800": 1, "a\ufffd": 2}', [1, 2]),
        ('{"a\ufffd": 1, "a\\ud800": 2}', [1, 2]),
        ('{"a\\ud800": 1, "a\ufffd": 2, "a\ufffd (2)": 3}', [1, 2, 3]),
        ('{"a\ufffd (2)": 1, "a\ufffd": 2, "a\\ud800": 3, "a\\ud801": 4}', [1, 2, 3, 4]),
        ('{"a\\ud800": 1, "a\\ud801": 2, "a\\ud800 (2)": 3}', [1, 2, 3]),
        (f'{{"{TAG}": 1, "\ufffd": 2, "\\ud800": 3}}', [1, 2, 3]),
        (f'{{"{KEY}": 1, "[API key]": 2}}', [1, 2]),
    ],
)
def test_fields_whose_names_become_equal_all_stay(text: str, values: list[int]) -> None:
    document = _read(text)
    assert sorted(map(str, document.content.values())) == sorted(map(str, values))
    assert NAMES in document.notes


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', '{"a": 1, "\\u0061": 2}'])
def test_fields_that_the_api_sent_twice_both_stay_and_are_noted(text: str) -> None:
    document = _read(text)
    shown = json.dumps(document.content)
    assert "1" in shown
    assert "2" in shown
    assert document.notes


def test_a_renamed_field_never_takes_the_name_of_another_field() -> None:
    assert _read('{"a\\ud800": 1, "a\ufffd": 2}').content["a\ufffd"] == 2


def _nested(levels: int, opening: str, closing: str) -> str:
    """Return an object with ``levels`` of nesting, the object included."""
    return '{"a": ' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_a_hundred_levels_are_read(opening: str, closing: str) -> None:
    text = _nested(100, opening, closing)
    assert _read(text).content == json.loads(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
@pytest.mark.parametrize("levels", [101, 250, 5_000, 100_000])
def test_more_than_a_hundred_levels_are_refused(levels: int, opening: str, closing: str) -> None:
    with pytest.raises(UnexpectedResponse, match="deeper than 100 levels"):
        _read(_nested(levels, opening, closing))


def test_more_than_fifty_thousand_lists_are_refused() -> None:
    text = json.dumps({"a": [[]] * 49_998, "b": "[" * 500})
    assert _read(text).content == json.loads(text)
    with pytest.raises(UnexpectedResponse, match="more than 50,000 objects and lists"):
        _read(json.dumps({"a": [[]] * 49_999}))


def test_many_brackets_beside_each_other_are_no_depth() -> None:
    text = json.dumps({"a": [[] for _ in range(500)], "b": "[" * 500})
    assert _read(text).content == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": [-Infinity]}',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 01}',
        '{"a": "\n"}',
        '{"a": 1} {"b": 2}',
        '{"a": 1',
        "<html>",
        "nonsense",
        "",
    ],
)
def test_what_is_not_strict_json_is_refused(text: str) -> None:
    with pytest.raises(UnexpectedResponse, match="not JSON"):
        _read(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [("[]", "a list"), ("null", "null"), ("true", "true or false"), ("1", "a number"), ('"a"', "text")],
)
def test_anything_but_an_object_is_refused_with_its_type(text: str, what: str) -> None:
    with pytest.raises(UnexpectedResponse, match=f"with {what} instead of a campaign"):
        _read(text)


@pytest.mark.parametrize(
    ("sent", "redacted"),
    [
        ({"slackUrl": "https://hooks.slack.com/services/SECRET"}, {"slackUrl": "https://hooks.slack.com/[redacted]"}),
        ({"webhooks": ["https://a.example/SECRET?SECRET#SECRET"]}, {"webhooks": ["https://a.example/[redacted]"]}),
        ({"webhooks": ["http://SECRET:SECRET@a.example:8080"]}, {"webhooks": ["http://a.example/[redacted]"]}),
        ({"webhooks": ["https://[2001:db8::1]/SECRET"]}, {"webhooks": ["https://[2001:db8::1]/[redacted]"]}),
        ({"webhooks": ["SECRET", "", "https://[SECRET"]}, {"webhooks": ["[redacted]", "", "[redacted]"]}),
        ({"webhooks": "https://a.example/SECRET"}, {"webhooks": "https://a.example/[redacted]"}),
        ({"webhooks": [{"url": "https://a.example/SECRET"}]}, {"webhooks": [{"url": "https://a.example/[redacted]"}]}),
        ({"webhookUrl": "https://a.example/SECRET"}, {"webhookUrl": "https://a.example/[redacted]"}),
        ({"x": {"y": [{"SlackHook": "SECRET"}]}}, {"x": {"y": [{"SlackHook": "[redacted]"}]}}),
        (
            {"webhooks": {"https://a.example/SECRET": 1, "https://a.example/S": 2, "https://a.example/T": 3}},
            {
                "webhooks": {
                    f"https://a.example/[redacted]{more}": at for at, more in enumerate(("", " (2)", " (3)"), 1)
                }
            },
        ),
        ({"webhooks": None, "slackUrl": 5}, {"webhooks": None, "slackUrl": 5}),
        ({"website": "https://a.example/kept"}, {"website": "https://a.example/kept"}),
    ],
)
def test_redaction_keeps_scheme_and_host_of_any_shape_of_url(sent: Json, redacted: Json) -> None:
    assert redact_urls(sent) == (redacted, sent != redacted)


@pytest.mark.parametrize(
    "webhooks",
    [
        {"https://a.example/SECRET": True},
        [{"https://a.example/SECRET": {"url": ["https://a.example/SECRET"]}}],
        *(
            [f"https://a.example{rest}"]
            for rest in ("\\SECRET", "&SECRET", ";SECRET", " SECRET", "%2FSECRET", ":SECRET")
        ),
    ],
)
def test_redaction_keeps_no_other_part_of_a_url(webhooks: Any) -> None:
    redacted, changed = redact_urls({"webhooks": webhooks})
    assert changed
    assert "secret" not in str(redacted).lower()


async def _answer(server: FaultServer, **settings: Any) -> tuple[Json, Json, list[str]]:
    result = await look_up(server, **settings)
    assert not result.is_error
    assert result.structured_content
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    assert json.loads(texts[1]) == result.structured_content["raw"]
    return result.structured_content["summary"], result.structured_content["raw"], texts


@pytest.mark.parametrize(
    ("value", "change"), [("\\ud800", SURROGATES), (TAG, TAGS), (KEY, MASKED), ('", "b": 1e400, "c": "', NUMBERS)]
)
async def test_a_change_in_raw_is_noted_in_text_and_structured_content(value: str, change: str) -> None:
    body = json.dumps(campaign())[:-1] + f', "extra": "{value}"}}'
    with FaultServer(fault.answer(body.encode())) as server:
        summary, _, texts = await _answer(server)
    assert summary["worth_checking"] == [change]
    assert f"- {change}" in texts[0].splitlines()


async def test_the_deepest_allowed_answer_is_returned_completely() -> None:
    raw = campaign() | json.loads(_nested(100, "[", "]"))
    with FaultServer(fault.answer(raw)) as server:
        assert (await _answer(server))[1] == raw


async def test_redact_urls_removes_the_secrets_from_the_whole_answer_and_says_so() -> None:
    raw = campaign(webhooks=["http://a.example/SECRET"], slackUrl="https://hooks.slack.com/SECRET")
    with FaultServer(fault.answer(raw)) as server:
        summary, redacted, texts = await _answer(server, redact_urls=True)
    assert redacted == raw | {
        "webhooks": ["http://a.example/[redacted]"],
        "slackUrl": "https://hooks.slack.com/[redacted]",
    }
    assert "SECRET" not in str((summary, texts))
    assert summary["slack_notifications"] is True
    assert summary["webhook_hosts"] == ["a.example"]
    (named,) = summary["worth_checking"]
    assert "webhook and Slack URLs" in named


async def test_without_redact_urls_the_urls_are_not_changed() -> None:
    raw = campaign(webhooks=["https://a.example/token"], slackUrl="https://hooks.slack.com/token")
    with FaultServer(fault.answer(raw)) as server:
        summary, kept, _ = await _answer(server)
    assert kept == raw
    assert summary["worth_checking"] == []
