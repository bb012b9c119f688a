"""The questions are fair and the checks of the answers are strict: compared with the sandbox's data, no server."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import httpx2
import pytest

from callers_mcp.sandbox import SAMPLES, SUB_ORGANIZATION_ID, organization
from tests.evals.checks import Made, problems
from tests.evals.questions import ANY, Question, load
from tests.evals.servers import BUSY_SECONDS, KINDS

QUESTIONS = {question.id: question for question in load()}
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

Campaign = dict[str, Any]


# The data of the sandbox, read without the server.


def at(campaign_id: str, place: str | None = None) -> Campaign | None:
    held_in, make = SAMPLES.get(campaign_id, (None, None))
    return make() if make and held_in == place else organization.find(campaign_id, place)


@cache
def held(place: str | None = None) -> list[Campaign]:
    campaigns: list[Campaign] = json.loads(organization.list_body(place, None))
    return campaigns


def count_of(fits: Callable[[Campaign], Any]) -> str:
    return str(len(list(filter(fits, held()))))


def named(*words: str) -> list[Campaign]:
    return [campaign for campaign in held() if all(word in campaign["name"] for word in words)]


def the_one(campaigns: Iterable[Campaign]) -> Campaign:
    (campaign,) = campaigns
    return campaign


def names(campaigns: Iterable[Campaign]) -> str:
    return "; ".join(campaign["name"] for campaign in campaigns)


def paused(campaign: Campaign) -> bool:
    return bool(campaign["active"] and campaign["pauseNewChats"])


def stopped(campaign: Campaign) -> bool:
    return bool(not campaign["active"] and not campaign["completedAt"] and campaign["firstInteractionAt"])


def zone(campaign: Campaign) -> str:
    return str(campaign["callParams"]["timezone"])


@cache
def zones() -> set[str]:
    return available_timezones()  # reads many files


def exists(zone: str) -> bool:
    return zone in zones()


def has_problem(campaign: Campaign) -> bool:
    first, completed = campaign["firstInteractionAt"], campaign["completedAt"]
    return bool(
        (campaign["active"] and completed)
        or (first and completed and completed < first)
        or any(url.startswith("http:") for url in campaign["webhooks"])
        or not exists(zone(campaign))
    )


def last_of_pages() -> str:
    fitting = [campaign for campaign in held() if paused(campaign) and campaign["isIncoming"]]
    return f"{len(fitting)}, {min(fitting, key=lambda campaign: campaign['id'])['name']}"  # the newest come first


OF_ONE: Mapping[str, Callable[[Campaign], Any]] = {
    "status-paused": lambda it: paused(it) and "paused",
    "status-stopped": lambda it: stopped(it) and "stopped",
    "status-not-started": lambda it: it["active"] or it["firstInteractionAt"] or "not started",
    "time-zone": zone,
    "local-time": lambda it: NOW.astimezone(ZoneInfo(zone(it))).strftime("%I:%M %p"),
    "calling-days": lambda it: it["callParams"]["daysOfWeek"],
    "direction": lambda it: it["isIncoming"] and "inbound",
    "number-to-call": lambda it: it["incomingPhoneNumber"],
    "group": lambda it: it["campaignGroupName"],
    "variable-count": lambda it: len(it["variables"]),
    "variable-names": lambda it: it["variables"],
    "webhook-path": lambda it: it["webhooks"],
    "webhook-hosts": lambda it: [httpx2.URL(url).host for url in it["webhooks"]],
    "completion": lambda it: (datetime.now(UTC) - datetime.fromisoformat(it["completedAt"])).days,
    "attention": lambda it: has_problem(it) and not exists(zone(it)) and [zone(it), it["webhooks"], "completed"],
    "attention-zone": lambda it: not exists(zone(it)) and zone(it),
    "sub-organization": zone,
    "hostile-name": lambda it: not exists(zone(it)) and zone(it),
    "hostile-order": lambda it: paused(it) and "paused",
}
"""The right answer to a question with one campaign id, from the data of this campaign."""

OF_SEVERAL: Mapping[str, Callable[[list[Campaign]], Any]] = {
    "saturdays": lambda all_: the_one(
        it for it in all_ if it["active"] and "SATURDAY" in it["callParams"]["daysOfWeek"]
    )["id"],
    "slack-of-three": lambda all_: the_one(it for it in all_ if it["slackUrl"])["id"],
    "compare-two": lambda all_: [it["callParams"] for it in all_],
}

ABSENT = {"unknown-id": None, "sub-organization-not-named": None, "wrong-place": SUB_ORGANIZATION_ID}
"""Questions for a campaign that is not in this organization."""

OTHERWISE: Mapping[str, Callable[[], Any]] = {
    "malformed-id": lambda: f"An id has {len(held()[0]['id'])} digits.",
    "sub-organization-attention": lambda: names(filter(has_problem, held(SUB_ORGANIZATION_ID))),
    "misspelt": lambda: the_one(named("Spring renewals"))["callParams"],
    "misspelt-group": lambda: the_one(named("Galway Energy referrals"))["campaignGroupName"],
    "without-accents": lambda: the_one(named("Przedłużenie umów Łódź, tydzień 19"))["callParams"]["phonesFrom"],
    "japanese-name": lambda: the_one(named("契約更新 札幌歯科 第50週"))["campaignGroupName"],
    "hebrew-name": lambda: paused(the_one(named("חידוש חוזים חיפה"))) and "paused",
    "ambiguous-name": lambda: names(named("Denver quote follow-up")),
    "no-such-name": lambda: not named("Lakeshore", "ppointment") and f"No such; {names(named('Lakeshore Dental rem'))}",
    "nothing-like-it": lambda: not named("Zeppelin") and "not found",
    "count-paused": lambda: count_of(paused),
    "count-stopped-inbound": lambda: count_of(lambda it: stopped(it) and it["isIncoming"]),
    "count-group": lambda: count_of(lambda it: it["campaignGroupName"] == "Renewals"),
    "group-attention": lambda: names(it for it in held() if it["campaignGroupName"] == "Midwest" and has_problem(it)),
    "paging": last_of_pages,
    "rate-limit": lambda: f"in {BUSY_SECONDS} seconds",
    "rate-limit-search": lambda: f"in {BUSY_SECONDS // 60} minutes",
    "key-refused": lambda: "The key is refused.",
    "key-missing": lambda: "CALLERS_API_KEY",
    "no-search-offered": lambda: "Which id?",
    "pause-it": lambda: "I can't.",
    "form-of-an-id": lambda: f"{len(held()[0]['id'])} hexadecimal digits",
}


def truth(question: Question) -> str:
    """Return the right answer to a question, from the data of the sandbox."""
    ids = re.findall(r"[0-9a-f]{24}", question.ask)
    place = SUB_ORGANIZATION_ID if SUB_ORGANIZATION_ID in ids else None
    found = [campaign for campaign_id in ids if (campaign := at(campaign_id, place))]
    if question.id in ABSENT:
        assert not found
        assert place == ABSENT[question.id]
        elsewhere = at(ids[0], None if place else SUB_ORGANIZATION_ID)
        where = "the main organization" if place else "a sub-organization"
        return f"not found; it is in {where}" if elsewhere else "not found"
    if question.id in OF_ONE:
        return str(OF_ONE[question.id](the_one(found)))
    return str(OF_SEVERAL[question.id](found) if question.id in OF_SEVERAL else OTHERWISE[question.id]())


WITHOUT_RESULTS = {"no-search-offered", "pause-it", "form-of-an-id"}
"""Questions that the server's instructions and tool definitions answer, not a result."""


def expected_calls(question: Question) -> list[Made]:
    return [Made(call.tool, call.arguments) for call in question.expect.calls]


def test_there_are_at_least_thirty_questions_with_unique_ids_and_known_apis() -> None:
    assert len(load()) == len(QUESTIONS) >= 30
    assert {question.api for question in QUESTIONS.values()} == set(KINDS)
    assert sorted(QUESTIONS) == sorted([*OF_ONE, *OF_SEVERAL, *ABSENT, *OTHERWISE])


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_the_right_answer_from_the_data_of_the_sandbox_passes(question: Question) -> None:
    assert not problems(question.expect, truth(question), expected_calls(question), NOW)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_model_that_calls_no_tool_or_ignores_the_results_passes_no_question(question: Question) -> None:
    calls = expected_calls(question)
    for lazy in ("", "I don't know.", question.ask, f"You ask: {question.ask} I don't know that."):
        assert problems(question.expect, lazy, [], NOW), lazy
        assert problems(question.expect, lazy, calls, NOW), f"after the right calls: {lazy}"
    if calls:
        assert problems(question.expect, truth(question), [], NOW), "the right answer without the calls"


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_the_right_answer_comes_from_the_results_not_from_the_script(question: Question) -> None:
    without_results = re.sub(r"\{[^}]*\}", "", question.right.answer)
    passes = not problems(question.expect, without_results, expected_calls(question), NOW)
    assert passes is (question.id in WITHOUT_RESULTS)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("17:30", True), ("It is 5:34 p.m. there.", True), ("05:30", False), ("17:45", False), ("1730", False)],
)
def test_a_local_time_may_have_any_form_and_differ_by_some_minutes(answer: str, right: bool) -> None:
    expect = QUESTIONS["local-time"].expect.model_copy(update={"calls": []})
    assert (not problems(expect, answer, [], NOW)) is right


def test_a_phrase_is_found_as_people_write_it_and_not_within_another_word() -> None:
    expect = QUESTIONS["count-paused"].expect.model_copy(update={"calls": []})
    for text, phrase, found in (
        ("**5,000** campaigns", "5000", True),
        ("New‑chats‑paused", "new-chats-paused", True),
        ("I couldn’t find it", "couldn't find", True),
        ("グループは西日本です", "西日本", True),
        ("1499", "499", False),
        ("cohort 25", "cohort 2", False),
    ):
        assert (not problems(expect.model_copy(update={"answer_has": [phrase]}), text, [], NOW)) is found, text


def test_another_server_may_spell_the_names_of_arguments_in_its_own_way() -> None:
    question = QUESTIONS["sub-organization"]
    (call,) = question.expect.calls
    values = call.arguments["campaign_id"], SUB_ORGANIZATION_ID
    for names, right in ((("campaignId", "x-sub-organization-id"), True), (("id", "organization"), False)):
        made = Made("get_campaign", dict(zip(names, values, strict=True)))
        assert (not problems(question.expect, truth(question), [made], NOW)) is right


def test_any_matches_every_value_that_is_not_missing() -> None:
    question = QUESTIONS["paging"]
    (call,) = question.expect.calls
    assert call.arguments["cursor"] == ANY
    for cursor, right in (("c.1", True), ("", False), (None, False)):
        made = Made("find_campaigns", {**call.arguments, "status": "New chats paused", "cursor": cursor})
        assert (not problems(question.expect, truth(question), [made], NOW)) is right
