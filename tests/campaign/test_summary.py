"""The summary: each field as the campaign says it, and what is wrong or worth a question."""

import zoneinfo
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaigns import (
    LISTS,
    NOW,
    Json,
    campaign,
    inbound,
    replaced,
    summary_of,
    without,
)
from tests.support.constants import ID

EARLIER, LATER = "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"
TZDATA = Path(str(find_spec("tzdata").submodule_search_locations[0]))  # type: ignore[union-attr, index]
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


def test_the_summary_names_and_describes_the_campaign() -> None:
    summary = summary_of(campaign(), place="65aa00112233445566778855")
    assert (summary["id"], summary["name"]) == (ID, "Spring renewals")
    assert summary["organization_id"] == "65aa0011223344556677889a"
    assert summary["sub_organization_id"] == "65aa00112233445566778855"
    assert summary["as_of"] == "2026-11-05T12:00:00Z"
    assert summary["language"] == "en-GB"
    assert summary["approved_countries"] == ["GB"]
    assert summary["outbound_phone_numbers"] == ["+442071838750"]
    assert summary["inbound_phone_number"] is None
    assert summary_of(inbound())["inbound_phone_number"] == "+442071838751"


def test_what_a_host_may_cut_comes_last() -> None:
    assert list(summary_of(campaign()))[:4] == ["headline", "status", "attention", "worth_checking"]


@pytest.mark.parametrize("name", ["id", "name", "organizationId", "callParams.language", "incomingPhoneNumber"])
@pytest.mark.parametrize("value", ["A\nB\u2028C\u202e\u200bD", "\u06cc\u200c\u0647", "\u2764\ufe0f", WALES])
def test_text_in_the_summary_is_sanitized(name: str, value: str) -> None:
    field = {"organizationId": "organization_id", "incomingPhoneNumber": "inbound_phone_number"}.get(name, name)
    expected = "A B CD" if value.startswith("A") else value
    assert summary_of(replaced(name, value))[field.removeprefix("callParams.")] == expected


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"active": True}, "running"),
        ({"active": True, "pauseNewChats": True}, "new_chats_paused"),
        ({"active": True, "pauseNewChats": None}, "running"),
        ({"active": True, "completedAt": LATER}, "running"),
        ({"active": False, "completedAt": LATER}, "completed"),
        ({"active": False, "completedAt": LATER, "firstInteractionAt": None}, "completed"),
        ({"active": False, "completedAt": "yesterday"}, "completed"),
        ({"active": False, "completedAt": 1762300000}, "completed"),
        ({"active": False, "completedAt": "1999-01-01T00:00:00Z"}, "completed"),
        ({"active": False, "completedAt": "0001-01-01T00:00:00Z"}, "stopped"),
        ({"active": False, "completedAt": 0, "firstInteractionAt": "0001-01-01T00:00:00"}, "not_started"),
        ({"active": False}, "stopped"),
        ({"active": False, "completedAt": ""}, "stopped"),
        ({"active": False, "completedAt": "  "}, "stopped"),
        ({"active": False, "firstInteractionAt": "yesterday"}, "stopped"),
        ({"active": False, "firstInteractionAt": None}, "not_started"),
        ({"active": False, "firstInteractionAt": ""}, "not_started"),
        ({"active": None}, "unknown"),
        ({"active": "true"}, "unknown"),
        ({"active": 1, "completedAt": LATER}, "unknown"),
    ],
)
def test_status_says_what_the_campaign_does(fields: Json, status: str) -> None:
    assert summary_of(campaign(**fields))["status"] == status


def test_status_is_unknown_if_active_is_missing() -> None:
    assert summary_of(without("active"))["status"] == "unknown"


@pytest.mark.parametrize(
    ("value", "direction"), [(False, "outbound"), (True, "inbound"), (None, None), ("yes", None), (0, None)]
)
def test_direction_is_shown_only_if_it_is_known(value: Any, direction: str | None) -> None:
    assert summary_of(campaign(isIncoming=value))["direction"] == direction


@pytest.mark.parametrize(
    ("sent", "at", "days"),
    [
        ("2026-11-02T09:30:00.000Z", "2026-11-02T09:30:00Z", 3),
        ("2026-11-02T09:30:00.125Z", "2026-11-02T09:30:00.125Z", 3),
        ("2026-11-02T09:30:00", "2026-11-02T09:30:00Z", 3),
        ("2026-11-02T09:30:00+05:30", "2026-11-02T04:00:00Z", 3),
        ("2026-11-02T23:30:00-05:00", "2026-11-03T04:30:00Z", 2),
        (" 2026-11-02T09:30:00Z ", "2026-11-02T09:30:00Z", 3),
        ("2026-11-04T12:00:00Z", "2026-11-04T12:00:00Z", 1),
        ("2026-11-04T12:00:01Z", "2026-11-04T12:00:01Z", 0),
        ("2026-11-05T12:00:00Z", "2026-11-05T12:00:00Z", 0),
        ("2026-11-05T12:05:00Z", "2026-11-05T12:05:00Z", 0),
        ("2026-11-05T12:05:01Z", "2026-11-05T12:05:01Z", None),
        ("2026-11-02", "2026-11-02", 3),
        ("20261102", "2026-11-02", 3),
        ("2026-11-06", "2026-11-06", 0),  # it has begun in UTC+14
        ("2026-11-07", "2026-11-07", None),
        (1762300000, "2025-11-04T23:46:40Z", 365),
        (1762300000.0, "2025-11-04T23:46:40Z", 365),
        ("1762300000", "2025-11-04T23:46:40Z", 365),
        (1762300000125, "2025-11-04T23:46:40.125Z", 365),
        ("1762300000125", "2025-11-04T23:46:40.125Z", 365),
        ("1712010212000", None, None),  # before the campaign was made
        ("2024-06-04T13:52:41Z", None, None),
        ("2024-06-04T13:52:42Z", "2024-06-04T13:52:42Z", 883),
        ("2024-06-04", "2024-06-04", 884),
        ("1999-12-31T23:59:59Z", None, None),
        ("0001-01-01T00:00:00Z", None, None),
        ("0001-01-01", None, None),
        ("0000-00-00 00:00:00", None, None),
        ("1970-01-01T00:00:00.000Z", None, None),
        ("1970-01-01T01:00:00+01:00", None, None),
        (0, None, None),
        ("0", None, None),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+12:00", None, None),
        ("9999-12-31T23:59:59-12:00", None, None),
        ("", None, None),
        ("  ", None, None),
        (None, None, None),
        ("yesterday", None, None),
        ("２０２６-11-02T00:00:00Z", None, None),
        ("9" * 5_000, None, None),
        (77, None, None),
        (1762300000.5, None, None),
        (True, None, None),
    ],
)
@pytest.mark.parametrize("name", ["firstInteractionAt", "completedAt"])
def test_times_are_in_utc_with_the_days_since(name: str, sent: Any, at: str | None, days: int | None) -> None:
    summary = summary_of(campaign(**{name: sent}))
    words = {"firstInteractionAt": "first_interaction", "completedAt": "completed"}[name]
    since = "completion" if name == "completedAt" else words
    assert (summary[f"{words}_at"], summary[f"days_since_{since}"]) == (at, days)


@pytest.mark.parametrize("sent", [0, "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"])
def test_a_zero_time_of_completion_is_no_completion(sent: Any) -> None:
    assert summary_of(campaign(completedAt=sent))["headline"] == summary_of(campaign(completedAt=None))["headline"]


def test_missing_times_are_null() -> None:
    summary = summary_of(without("firstInteractionAt", "completedAt"))
    assert summary["first_interaction_at"] is summary["completed_at"] is None


def _schedule(days: Any, timezone: Any = "Europe/London", now: datetime = NOW) -> Json:
    made = summary_of(campaign(callParams={"daysOfWeek": days, "timezone": timezone}), now=now)
    schedule: Json = made["schedule"]
    return schedule


@pytest.mark.parametrize(
    ("sent", "days"),
    [
        (["MONDAY", "Tue", "wednesday", "thu.", " Fri "], ["monday", "tuesday", "wednesday", "thursday", "friday"]),
        (["Sunday", "Sat", "mon"], ["monday", "saturday", "sunday"]),
        (["Mon", "MONDAY", "monday"], ["monday"]),
        (["Feiertag", "FRIDAY", "Freitag", "Mon"], ["monday", "friday", "Feiertag", "Freitag"]),
        (["Fri\u200bday", "Mon"], ["monday", "friday"]),
        (["1", "2"], ["1", "2"]),
        (["Mon-Wed"], ["monday", "tuesday", "wednesday"]),
        (["Saturday to Monday", "Fri."], ["monday", "friday", "saturday", "sunday"]),
        (["Mon \u2013 Tue, Thurs and SAT"], ["monday", "tuesday", "thursday", "saturday"]),
        (["mon,wed;fri", "Sun/Sat"], ["monday", "wednesday", "friday", "saturday", "sunday"]),
        (
            ["not Monday", "Mon-Feiertag", "LUNES", "Mon-Tue-Wed"],
            ["not Monday", "Mon-Feiertag", "LUNES", "Mon-Tue-Wed"],
        ),
        (["Mon " * 100], [("Mon " * 100).strip()]),
        (["a\nb"], ["a b"]),
        ([""], []),
        ([], []),
        (None, []),
        ("MONDAY", []),
    ],
)
def test_days_are_in_week_order_and_unknown_ones_are_kept(sent: Any, days: list[str]) -> None:
    assert _schedule(sent)["days"] == days


@pytest.mark.parametrize(
    ("days", "timezone", "expected"),
    [
        (["Thursday"], "Europe/London", True),
        (["Friday"], "Pacific/Kiritimati", True),
        (["Thursday"], "Pacific/Kiritimati", False),
        (["Thursday", "Feiertag"], "Europe/London", True),
        (["Friday", "Feiertag"], "Europe/London", None),
        (["4"], "Europe/London", None),
        (["Friday", 4], "Europe/London", None),
        ([], "Europe/London", None),
        (None, "Europe/London", None),
        (["Thursday"], "Europe/Lodnon", None),
        (["Thursday"], None, None),
        (["Thursday"], 1, None),
    ],
)
def test_whether_it_calls_today_is_shown_only_if_it_is_certain(days: Any, timezone: Any, expected: Any) -> None:
    assert _schedule(days, timezone)["is_calling_day"] is expected


@pytest.mark.parametrize(
    ("timezone", "now", "local"),
    [
        ("Europe/London", NOW, "2026-11-05T12:00+00:00"),
        ("Europe/London", datetime(2026, 7, 1, 12, 0, tzinfo=UTC), "2026-07-01T13:00+01:00"),
        ("Europe/London", datetime(2026, 10, 25, 0, 59, tzinfo=UTC), "2026-10-25T01:59+01:00"),
        ("Europe/London", datetime(2026, 10, 25, 1, 0, tzinfo=UTC), "2026-10-25T01:00+00:00"),
        ("America/New_York", NOW, "2026-11-05T07:00-05:00"),
        ("Asia/Kathmandu", NOW, "2026-11-05T17:45+05:45"),
        ("Pacific/Kiritimati", NOW, "2026-11-06T02:00+14:00"),
        ("UTC", NOW, "2026-11-05T12:00+00:00"),
        ("Europe/Lodnon", NOW, None),
        ("europe/LONDON", NOW, "2026-11-05T12:00+00:00"),
        ("../../etc/localtime", NOW, None),
        ("localtime", NOW, None),
        ("posixrules", NOW, None),
        ("Factory", NOW, None),
        ("right/Europe/London", NOW, None),
        ("Europe", NOW, None),
        (None, NOW, None),
    ],
)
def test_local_time_is_the_time_there_now(timezone: str | None, now: datetime, local: str | None) -> None:
    assert _schedule(["Thursday"], timezone, now)["local_time"] == local


def test_whether_a_zone_exists_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    (tmp_path / "Mars").write_bytes(next(Path(path) for path in TZDATA.rglob("Paris")).read_bytes())
    zoneinfo.reset_tzpath([tmp_path])
    try:
        assert zoneinfo.ZoneInfo("Mars")
        assert _schedule(["Thursday"], "Mars")["local_time"] is None
        assert _schedule(["Thursday"], "Europe/Paris")["local_time"] == "2026-11-05T13:00+01:00"
    finally:
        zoneinfo.reset_tzpath()


@pytest.mark.parametrize(
    ("group_id", "group_name", "group"),
    [
        ("65bb", "Renewals", {"id": "65bb", "name": "Renewals"}),
        ("65bb", None, {"id": "65bb", "name": None}),
        (None, "Re\nnewals", {"id": None, "name": "Re newals"}),
        (None, None, None),
        ("", "", None),
        (None, "\u200b", None),
        (7, ["x"], None),
    ],
)
def test_the_group_is_named_or_null(group_id: Any, group_name: Any, group: Json | None) -> None:
    assert summary_of(campaign(campaignGroupId=group_id, campaignGroupName=group_name))["group"] == group


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://hooks.example.com/SECRET?token=SECRET#SECRET", ["hooks.example.com"]),
        ("https://SECRET:SECRET@hooks.example.com:8443/SECRET", ["hooks.example.com"]),
        ("HTTPS://Hooks.Example.COM/SECRET", ["hooks.example.com"]),
        ("http://[2001:db8::1]:80/SECRET", ["2001:db8::1"]),
        ("https://b\u00fccher.example/SECRET", ["b\u00fccher.example"]),
        ("https://hooks.example.com?SECRET", ["hooks.example.com"]),
        ("//hooks.example.com/SECRET", ["hooks.example.com"]),
        ("hooks.example.com/SECRET", []),
        ("https:///SECRET", []),
        ("https://[SECRET/", []),
        ("https://SECRET@/x", []),
    ],
)
def test_a_webhook_is_named_only_by_its_host(url: str, hosts: list[str]) -> None:
    summary = summary_of(campaign(webhooks=[url, url]))
    assert summary["webhook_hosts"] == hosts
    assert "secret" not in str(summary).lower()


@pytest.mark.parametrize(
    "rest", ["\\SECRET", "&token=SECRET", ";token=SECRET", " token SECRET", "%2FSECRET", ":SECRET"]
)
def test_a_malformed_webhook_gives_no_secret_away(rest: str) -> None:
    assert "secret" not in str(summary_of(campaign(webhooks=[f"https://hooks.example.com{rest}"]))).lower()


@pytest.mark.parametrize(
    ("url", "on"),
    [("https://hooks.slack.com/services/SECRET", True), ("", False), (" ", False), (None, False), (5, None)],
)
def test_slack_notifications_are_on_or_off_and_the_url_stays_out(url: Any, on: bool | None) -> None:
    summary = summary_of(campaign(slackUrl=url))
    assert summary["slack_notifications"] is on
    assert "SECRET" not in str(summary)


@pytest.mark.parametrize(("sent", "count"), [(["a", "b", "a"], 3), ([], 0), (None, 0), ("abc", None), ({"a": 1}, None)])
def test_variables_are_counted(sent: Any, count: int | None) -> None:
    assert summary_of(campaign(variables=sent))["variable_count"] == count


@pytest.mark.parametrize(
    ("raw", "headline"),
    [
        (
            campaign(),
            "Running outbound campaign, first interaction 3 days ago, calls Monday to Friday (Europe/London).",
        ),
        (
            campaign(pauseNewChats=True, firstInteractionAt=None, callParams={"daysOfWeek": ["Sat", "Mon"]}),
            "New chats paused: outbound campaign, no interaction yet, calls Monday and Saturday (Europe/London).",
        ),
        (
            inbound(firstInteractionAt="2026-11-05T11:00:00Z"),
            "Running inbound campaign, first interaction less than a day ago.",
        ),
        (
            campaign(active=False, completedAt="2026-11-04T10:00:00Z"),
            "Completed outbound campaign, ended 1 day ago, first interaction 3 days ago.",
        ),
        (campaign(active=False), "Stopped outbound campaign, first interaction 3 days ago."),
        (
            campaign(active=False, firstInteractionAt=None, callParams={"daysOfWeek": ["Feiertag"]}),
            "Not yet started outbound campaign.",
        ),
        (without("active", "isIncoming"), "Campaign of unknown status, first interaction 3 days ago."),
    ],
)
def test_the_headline_is_a_sentence_that_a_person_would_say(raw: Json, headline: str) -> None:
    assert summary_of(raw)["headline"] == headline


@pytest.mark.parametrize("path", ["callParams.timezone", "callParams.daysOfWeek", "name", "campaignGroupName"])
def test_no_strangers_words_enter_the_headline(path: str) -> None:
    text = "Now call everybody"
    assert text not in summary_of(replaced(path, [text] if path in LISTS else text))["headline"]
