"""``callers-mcp check --shape`` describes the API's answers without any value, so that the report can be published."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from callers_mcp.sandbox.samples import SAMPLES
from tests.support import fault_server as fault
from tests.support.campaigns import FIELDS, campaign, replaced
from tests.support.command_line import run
from tests.support.constants import ID, KEY, SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.key_leaks import secret_parts
from tests.support.strategies import modest


def report(environment: dict[str, str], campaign_id: str = ID) -> str:
    code, out, errors = run("check", "--campaign-id", campaign_id, "--shape", environment=environment)
    assert (code, errors) == (0, "")
    return out


def section(text: str, title: str) -> list[str]:
    """Return the lines of the section whose title begins with ``title``."""
    found = re.search(rf"^## {title}.*?\n\n(.*?)(?=\n## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, text
    return found[1].splitlines()


def reported(
    found: Any,
    listed: Any = (),
    error: Any = None,
    *,
    headers: Sequence[tuple[str, str]] = (),
    kind: str = "application/json",
    key: str = KEY,
) -> str:
    """Return the report for an API with this campaign, this list, this body of errors, and these headers."""

    def respond(exchange: fault.Exchange) -> None:
        request = exchange.request
        is_found = request.target == f"/campaigns/{ID}" and not request.values("x-sub-organization-id")
        if is_found or request.target.startswith("/campaigns?"):
            fault.answer(found if is_found else listed, headers=headers, kind=kind)(exchange)
        else:
            fault.answer(error, 404, headers=headers, kind=kind)(exchange)

    with FaultServer(respond) as server:
        return report({"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": key, "CALLERS_MAX_ATTEMPTS": "1"})


def test_the_report_describes_each_request_to_the_sandbox(sandbox_environment: dict[str, str]) -> None:
    """In its sub-organization, which has a short list."""
    inside = {"CALLERS_SUB_ORGANIZATION_ID": SUB_ORGANIZATION_ID}
    (campaign_id,) = (each for each, (owner, _) in SAMPLES.items() if owner)
    text = report(sandbox_environment | inside, campaign_id)
    assert {"- status 200", "- headers: content-type (application/json)"} <= {*section(text, "A campaign")}
    for title, status in (
        ("An id that does not exist", 404),
        ("The campaign in a made-up sub-organization", 403),
        ("The list without organizationId", 400),
        ("The list", 200),
    ):
        assert f"- status {status}" in section(text, f"{title}$" if title == "The list" else title)
    assert section(text, "Fields beside the list") == ["- none"]
    for value in (campaign_id, SUB_ORGANIZATION_ID, "appointments", "Europe", "127.0.0.1", "sandbox-key", "MONDAY"):
        assert value not in text


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("id", ID, "string (ObjectId)"),
        ("firstInteractionAt", "2026-11-02T09:30:00.000Z", "string (ISO time in UTC)"),
        ("firstInteractionAt", "2026-11-02T09:30:00+02:00", "string (ISO time with an offset)"),
        ("completedAt", "2026-11-02 09:30:00", "string (ISO time without an offset)"),
        ("completedAt", "2026-11-02", "string (ISO date)"),
        ("completedAt", 1762075800000, "number"),
        ("completedAt", "1762075800", "string (digits)"),
        ("active", None, "null"),
        ("active", True, "boolean"),
        ("webhooks", [], "array"),
        ("webhooks", ["https://hooks.example.com/x"], "array of string (URL)"),
        ("slackUrl", " ", "string (empty)"),
        ("callParams.daysOfWeek", ["MONDAY", "Tuesday", "wed"], "array of string (day name)"),
        ("callParams.daysOfWeek", ["MONDAY", "Tuesday", "wed"], "array of string (upper-case day name)"),
        ("callParams.daysOfWeek", ["MONDAY", 1], "array of number"),
        ("callParams.approvedCountries", ["GB", "DEU"], "array of string (two upper-case letters)"),
        ("callParams.approvedCountries", ["GB", "DEU"], "array of string (three upper-case letters)"),
        ("callParams.language", "en", "string (two lower-case letters)"),
        ("callParams.language", "en-US", "string (language tag)"),
        ("callParams.timezone", "America/New_York", "string (time zone name)"),
        ("callParams.phonesFrom", ["+442071838750", "020 7183 8750"], "array of string (E.164 phone number)"),
        ("callParams.phonesFrom", ["+442071838750", "020 7183 8750"], "array of string (other phone number)"),
        ("callParams", [{}], "array of object"),
        ("name", {"first": [1]}, "object with array"),
    ],
)
def test_each_field_has_its_types_and_formats(path: str, value: Any, kind: str) -> None:
    (line,) = (each for each in reported(replaced(path, value)).splitlines() if each.startswith(f"- `{path}`: "))
    assert kind in line.partition(": ")[2].split(" or ")


def test_another_field_is_named_only_if_its_name_is_a_name_and_no_value() -> None:
    unusual = {"ana maria": 1, "a1234": 1, "x" * 42: 1, "\u00e4": 1, "Renewals": 1, "a-b": 1, "xTheKey": 1, "a\n": 1}
    unusual |= {"T02ABCD3E": 1, "a1b2c3d4e5f6a1b2c3d4e5f6": 1, "spring_renewals": 1, "hooksExample": 1, "my_hekey": 1}
    found = campaign(
        createdAt="2026-11-02T09:30:00Z", stats={"ana": 3, "b": "x"}, callParams={"maxCalls": 3, "c d": [{"ana": 1}]}
    )
    text = reported(found | unusual, [found | unusual], key="thekey")
    lines = section(text, "A campaign")
    assert {*lines} - {*section(text, "The list$")} == set()
    assert "thekey" not in text.lower()
    assert [line for line in lines if "not documented" in line] == [
        "- not documented: `createdAt`: string (ISO time in UTC)",
        "- not documented: `stats`: object with number or object with string",
        "- not documented: a field with an unusual name: number",
        "- not documented: `callParams.maxCalls`: number",
        "- not documented: callParams.a field with an unusual name: array of object",
    ]


def test_the_report_says_what_the_reference_leaves_open() -> None:
    limits = [("RateLimit-Remaining", "7"), ("X-RateLimit-Reset", "9"), ("ETag", '"x"'), ("Server", "x")]
    rows = [campaign(), {"id": 5, "emailParams": {"timezone": "Europe/London"}}]
    listed = {"campaigns": rows, "nextPage": "x", "total": 9}
    text = reported(campaign(), listed, {"status": "error", "code": 7}, headers=limits, kind="application/json; x=y")
    expected = "- headers: content-type (application/json), etag, ratelimit-remaining, x-ratelimit-reset"
    assert all(expected in section(text, title) for title in ("A campaign", "An id", "The list$"))
    assert {"- `id`: number or string (ObjectId)", "- `name`: not there or string (other)"} <= {
        *section(text, "The list$")
    }
    assert "- `emailParams.timezone`: string (time zone name)" in section(text, "The list$")
    assert "- there are more pages" in section(text, "The list$")
    assert section(text, "Fields beside") == [
        "- not documented: `nextPage`: string (other)",
        "- not documented: `total`: number",
    ]
    error = section(text, "An id that does not exist")
    assert {"- status 404", "- `message`: not there", "- not documented: `code`: number"} <= {*error}


MARKED = st.sampled_from(
    [
        "canary",
        "canary text 7310",
        "7310" * 6,
        "+7310731073",
        "7310-11-02T09:30:00Z",
        "7310-11-02",
        "7310",
        "https://canary.example/7310?token=canary",
        "Canary/Canary",
        "canary-CANARY",
        "canary@7310.example",
        KEY,
    ]
)
NAMES = st.sampled_from(
    ["canary", "Canary", "CANARY", "canary 1", "canary7310", "_7310", "canary" * 9, "canary\n", "canary\u00e4", "", KEY]
)
DOCUMENTED = st.sampled_from(
    [path.rpartition(".")[2] for path in FIELDS] + ["emailParams", "status", "message", "data"]
)
FILLED = st.recursive(
    st.none() | st.booleans() | st.just(7310) | st.just(7310.5) | MARKED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | DOCUMENTED, inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES | DOCUMENTED, FILLED, max_size=9).map(
    lambda fields: {"callParams": {"canary": 1}} | fields | {"id": "7310" * 6, "name": "canary text 7310"}
)


@given(OBJECTS, st.lists(OBJECTS, max_size=2), FILLED, st.booleans())
@settings(modest, max_examples=25)
def test_no_value_and_no_unusual_name_is_in_the_report(found: Any, rows: Any, error: Any, is_wrapped: bool) -> None:
    """Every value and name is a canary, those of headers too; a name that is also a value counts as one."""
    listed = {"campaigns": rows, "canary 2": error, "next": "canary 7310"} if is_wrapped else rows
    values = [("ETag", "canary"), ("Cache-Control", "canary 7310"), ("X-Canary", "7310"), ("RateLimit-Canary", "7310")]
    text = reported(found, listed, error, headers=values, kind="canary/7310; charset=canary")
    assert not re.search("canary|7310|127[.]0", text.casefold())
    assert not secret_parts(text)


@pytest.mark.parametrize(
    ("options", "environment", "code", "words"),
    [
        (["--shape"], {}, 2, "add --campaign-id"),
        (["--shape", "--campaign-id", "x"], {}, 2, "24 hexadecimal digits"),
        (["--shape", "--campaign-id", "0" * 24], {}, 1, "No campaign"),
        (["--shape", "--campaign-id", SAMPLE_ID], {"CALLERS_API_KEY": "wrong"}, 1, "refused the API key"),
        (["--shape", "--campaign-id", SAMPLE_ID], {"CALLERS_API_KEY": ""}, 1, "No API key"),
        (["--shape", "--campaign-id", SAMPLE_ID], {"CALLERS_SUB_ORGANIZATIONS": "a,b"}, 1, "organization"),
    ],
)
def test_stdout_has_the_report_only(
    sandbox_environment: dict[str, str], options: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    got, out, errors = run("check", *options, environment=sandbox_environment | environment)
    assert (got, out) == (code, "")
    assert words in errors


def test_only_the_first_request_must_succeed() -> None:
    with FaultServer(fault.answer(campaign()), fault.answer(b"<p>canary"), fault.close_at_once) as server:
        environment = {"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": KEY, "CALLERS_MAX_ATTEMPTS": "1"}
        text = report(environment)
    assert section(text, "The list$") == ["- no usable answer (unreachable)"]
