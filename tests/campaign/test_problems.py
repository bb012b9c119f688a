"""What a summary finds wrong with a campaign, or worth a question, and what it leaves unsaid."""

from typing import Any

import pytest

from tests.support.campaigns import (
    FIELDS,
    LISTS,
    MAY_BE_MISSING,
    MAY_BE_NULL,
    NEVER_NULL,
    REQUIRED,
    Json,
    campaign,
    inbound,
    replaced,
    summary_of,
    without,
)
from tests.support.constants import ID

CHANGED = "(the API may have changed)"
EARLIER, LATER = "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"
FOR_CHAT = "(fine for chat or e-mail only)"


def _findings(raw: Json, **options: Any) -> tuple[list[str], list[str]]:
    summary = summary_of(raw, **options)
    return summary["attention"], summary["worth_checking"]


HEALTHY = {
    "outbound": campaign(),
    "inbound": inbound(),
    "completed": campaign(active=False, firstInteractionAt=EARLIER, completedAt=LATER),
    "in capitals": campaign(id=ID.upper()),
    "more fields": campaign(emailParams={"signature": None}, webhookSecret=5),
    "no webhooks": campaign(webhooks=[]),
    "empty texts": campaign(slackUrl="", firstInteractionAt="", completedAt="", campaignGroupName=""),
    "all absent": without(*MAY_BE_MISSING),
    "zero times": campaign(firstInteractionAt="0001-01-01T00:00:00Z", completedAt=0),
    "the first moment of 1970": campaign(firstInteractionAt="1970-01-01T00:00:00Z"),
    "dates without a time": campaign(active=False, firstInteractionAt="2026-11-03", completedAt="2026-11-03"),
    "a date and a time": campaign(active=False, firstInteractionAt="2026-11-03", completedAt="2026-11-02T10:00:00Z"),
    "clocks that differ": campaign(firstInteractionAt="2026-11-05T12:05:00Z"),
    "a zone in another case": campaign(callParams={"timezone": "europe/london"}),
    **{f"null {path}": replaced(path, None) for path in MAY_BE_NULL if path not in LISTS[2:]},
    **{f"null {path} inbound": replaced(path, None, inbound()) for path in LISTS},
    **{f"no {path}": without(path) for path in MAY_BE_MISSING},
}


@pytest.mark.parametrize("raw", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_campaign_has_nothing_to_look_at(raw: Json) -> None:
    assert _findings(raw) == ([], [])


@pytest.mark.parametrize("odd", ["0" * 24, "f4" + "0" * 22, "f" * 24])
def test_an_id_with_a_time_that_cannot_be_true_leaves_the_other_times_true(odd: str) -> None:
    assert _findings(campaign(id=odd), asked_for=odd) == ([], [])


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (campaign(id="0" * 24), f'The API answered with campaign "{"0" * 24}", but {ID} was asked for.'),
        (campaign(completedAt=LATER), "It is active, but has a completion time."),
        (
            campaign(active=False, firstInteractionAt=LATER, completedAt=EARLIER),
            "It was completed before its first interaction.",
        ),
        (
            campaign(active=False, firstInteractionAt="2026-11-03", completedAt="2026-11-02"),
            "It was completed before its first interaction.",
        ),
        (campaign(firstInteractionAt="soon"), "The time of its first interaction can't be read."),
        (campaign(firstInteractionAt="202611050123456"), "The time of its first interaction can't be read."),
        (campaign(active=False, completedAt="soon"), "The time of its completion can't be read."),
        (campaign(firstInteractionAt="2026-11-05T12:05:01Z"), "The time of its first interaction is in the future."),
        (
            campaign(firstInteractionAt="2024-06-04T13:52:41Z"),
            "The time of its first interaction is before the campaign was made, which can't be true.",
        ),
        (
            campaign(active=False, completedAt="1712-01-02T12:00:00Z"),
            "The time of its completion is before the year 2000, which can't be true.",
        ),
        (
            campaign(active=False, completedAt=99),
            f"The documented field completedAt is not of the documented type {CHANGED}.",
        ),
        (
            campaign(active=False, completedAt=False),
            f"The documented field completedAt is not of the documented type {CHANGED}.",
        ),
        (campaign(active=False, completedAt="2027-01-01"), "The time of its completion is in the future."),
        (campaign(callParams={"timezone": "Europe/Lodnon"}), 'Its time zone "Europe/Lodnon" does not exist.'),
        (
            campaign(webhooks=["https://a.example", "http://b.example/SECRET"]),
            'Webhook 2 of 2 ("b.example") is not https.',
        ),
        (campaign(webhooks=["SECRET"]), "Webhook 1 of 1 (without a host name) is not https."),
        (without("variables"), f"The documented field variables is missing {CHANGED}."),
        (
            without("name", "callParams.language"),
            f"The documented fields name and callParams.language are missing {CHANGED}.",
        ),
        (campaign(variables=["a", 1]), f"The documented field variables is not of the documented type {CHANGED}."),
    ],
)
def test_each_certain_problem_is_one_sentence(raw: Json, sentence: str) -> None:
    assert _findings(raw) == ([sentence], [])


def test_of_many_webhooks_that_are_not_https_five_are_named() -> None:
    for count, last in (
        (5, 'Webhook 5 of 5 ("h4.example") is not https.'),
        (7, "2 more of its webhooks are not https."),
    ):
        problems, _ = _findings(campaign(webhooks=[f"http://h{number}.example" for number in range(count)]))
        assert problems[-1] == last
        assert len(problems) == min(count, 6)


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_documented_field_is_named(path: str) -> None:
    assert f"The documented field {path} is missing {CHANGED}." in _findings(without(path))[0]


@pytest.mark.parametrize("path", NEVER_NULL)
def test_null_is_named_if_it_is_not_allowed(path: str) -> None:
    assert f"The documented field {path} is not of the documented type {CHANGED}." in _findings(replaced(path, None))[0]


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_of_another_type_is_left_out_and_named(path: str) -> None:
    summary = summary_of(replaced(path, 77701))
    assert f"The documented field {path} is not of the documented type {CHANGED}." in summary["attention"]
    assert not summary["worth_checking"]
    assert "77701" not in str(summary)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (campaign(callParams={"phonesFrom": []}), f"It is outbound without a number to call from {FOR_CHAT}."),
        (campaign(callParams={"phonesFrom": None}), f"It is outbound without a number to call from {FOR_CHAT}."),
        (campaign(callParams={"approvedCountries": []}), f"It is outbound without approved countries {FOR_CHAT}."),
        (campaign(callParams={"daysOfWeek": [" "]}), f"It is outbound without calling days {FOR_CHAT}."),
        (inbound(incomingPhoneNumber=None), f"It is inbound without an incoming phone number {FOR_CHAT}."),
        (inbound(incomingPhoneNumber=""), f"It is inbound without an incoming phone number {FOR_CHAT}."),
        (
            campaign(firstInteractionAt="2026-11-02T09:30:00"),
            "The time of its first interaction has no offset; it was read as UTC.",
        ),
        (
            campaign(active=False, completedAt=1762300000000, firstInteractionAt=None),
            "The time of its completion is a number; it was read as milliseconds since 1970.",
        ),
        (
            campaign(active=False, completedAt="1762300000", firstInteractionAt=None),
            "The time of its completion is a number; it was read as seconds since 1970.",
        ),
        (
            campaign(callParams={"daysOfWeek": ["Mon-Fri", "LUNES", "1"]}),
            'Of its calling days, this is not understood: "LUNES", "1".',
        ),
        (
            campaign(callParams={"daysOfWeek": [f"x{number}" for number in range(9)]}),
            'Of its calling days, this is not understood: "x0", "x1", "x2", "x3", "x4" and 4 more.',
        ),
        (campaign(name=" \u00a0\u2800"), "Its name is blank."),
        (campaign(name=""), "Its name is blank."),
        (campaign(name="A\u202eB"), "Invisible or direction-changing characters are in its name"),
        (campaign(campaignGroupName="A\u200bB"), "Invisible or direction-changing characters are in its group's name"),
        (campaign(name="R" + "\u200c\u200d" * 52 + "un"), "Invisible or direction-changing characters are in its name"),
        (
            campaign(callParams={"language": "en\u3164", "daysOfWeek": ["Mon\ufe0f"], "phonesFrom": ["\u200b+44"]}),
            "Invisible or direction-changing characters are in its language and its calling days and its numbers",
        ),
        (
            campaign(callParams={"timezone": "Europe/\u202eLondon"}),
            "Invisible or direction-changing characters are in its time zone",
        ),
        (campaign(variables=["a", "b\U000e0101"]), "Invisible or direction-changing characters are in a variable"),
    ],
)
def test_what_may_be_right_is_phrased_as_a_question(raw: Json, sentence: str) -> None:
    attention, (asked,) = _findings(raw)
    assert not attention
    assert asked.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    ["\u06cc\u200c\u0647", "\u2764\ufe0f", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"],
)
def test_joiners_emoji_and_registered_flags_are_not_reported(text: str) -> None:
    assert _findings(campaign(name=text, variables=[text])) == ([], [])


def test_what_was_changed_in_raw_is_worth_checking() -> None:
    assert _findings(campaign(), changes=["It changed."]) == ([], ["It changed."])
