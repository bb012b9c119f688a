"""Hypothesis strategies for JSON objects and odd campaigns."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.campaigns import LISTS, NOW, STRING_FIELDS, Json
from tests.support.constants import ID, KEY

# The same examples in every run, so that a test fails only because of a change.
modest = settings(deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Number:
    """A number as written in the JSON, of any length."""

    digits: str


def render(value: Any, escaped: bool) -> str:
    """Return ``value`` as JSON, with characters outside ASCII escaped or not."""
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, dict):
        members = (f"{json.dumps(name, ensure_ascii=escaped)}:{render(value[name], escaped)}" for name in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(render(member, escaped) for member in value) + "]"
    return json.dumps(value, ensure_ascii=escaped)


def body(value: Json, escaped: bool = True) -> bytes:
    """Return ``value`` as an API could send it; lone surrogates are escaped, or make it invalid UTF-8."""
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


objects = st.dictionaries(strings, values, max_size=6)


campaigns = st.fixed_dictionaries({}, optional=outer | {"callParams": call_params, "unknown": values})


clocks = st.just(NOW) | st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)
