"""The evaluation of models: its questions are fair, its checks strict, and its runner holds a real conversation."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import httpx2
import pytest
import stamina
from click.testing import CliRunner

from callers_mcp.sandbox import SAMPLES, SUB_ORGANIZATION_ID, organization
from tests.conftest import inherited
from tests.evals.__main__ import main
from tests.evals.checks import Made, problems
from tests.evals.models import ATTEMPTS, Endpoint, EndpointError, Message, Model, Reply, Scripted, Usage
from tests.evals.questions import ANY, Question, load
from tests.evals.report import markdown, score
from tests.evals.run import Outcome, evaluate
from tests.evals.servers import BUSY_SECONDS, KINDS, Servers
from tests.support.constants import PATIENCE

ROOT = Path(__file__).parents[2]
QUESTIONS = {question.id: question for question in load()}
KEY = "sk-the-key-of-the-endpoint"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

Campaign = dict[str, Any]


# What the sandbox holds, read without the server.


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


def exists(zone: str) -> bool:
    return zone in available_timezones()


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
    return f"{len(fitting)}, {min(fitting, key=lambda campaign: campaign['id'])['name']}"  # the newest stand first


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
"""What is true of the campaign whose id stands in the question."""

OF_SEVERAL: Mapping[str, Callable[[list[Campaign]], Any]] = {
    "saturdays": lambda all_: the_one(
        it for it in all_ if it["active"] and "SATURDAY" in it["callParams"]["daysOfWeek"]
    )["id"],
    "slack-of-three": lambda all_: the_one(it for it in all_ if it["slackUrl"])["id"],
    "compare-two": lambda all_: [it["callParams"] for it in all_],
}

ABSENT = {"unknown-id": None, "sub-organization-not-named": None, "wrong-place": SUB_ORGANIZATION_ID}
"""Where the campaign that is asked for is not."""

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
    """Return what the sandbox's data say to a question, in whatever words."""
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
"""Questions that no tool's result answers; what does, is in the server's instructions and tools."""


def expected_calls(question: Question) -> list[Made]:
    return [Made(call.tool, call.arguments) for call in question.expect.calls]


def test_there_are_questions_enough_each_with_an_id_of_its_own_and_an_api_that_there_is() -> None:
    assert len(load()) == len(QUESTIONS) >= 30
    assert {question.api for question in QUESTIONS.values()} == set(KINDS)
    assert sorted(QUESTIONS) == sorted([*OF_ONE, *OF_SEVERAL, *ABSENT, *OTHERWISE])


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_what_the_sandbox_holds_is_the_right_answer(question: Question) -> None:
    assert not problems(question.expect, truth(question), expected_calls(question), NOW)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_model_that_does_not_look_passes_no_question(question: Question) -> None:
    calls = expected_calls(question)
    for lazy in ("", "I don't know.", question.ask, f"You ask: {question.ask} I don't know that."):
        assert problems(question.expect, lazy, [], NOW), lazy
        assert problems(question.expect, lazy, calls, NOW), f"after the right calls: {lazy}"
    if calls:
        assert problems(question.expect, truth(question), [], NOW), "the right answer, by chance"


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_the_right_answer_comes_from_the_results_not_from_the_script(question: Question) -> None:
    without_results = re.sub(r"\{[^}]*\}", "", question.right.answer)
    passes = not problems(question.expect, without_results, expected_calls(question), NOW)
    assert passes is (question.id in WITHOUT_RESULTS)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("17:30", True), ("It is 5:34 p.m. there.", True), ("05:30", False), ("17:45", False), ("1730", False)],
)
def test_a_local_time_is_told_in_any_form_and_not_to_the_minute(answer: str, right: bool) -> None:
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


# An OpenAI-compatible endpoint, on loopback.


@contextmanager
def endpoint(*replies: Callable[[list[Message]], Message] | int | bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve chat completions; the nth request gets the nth reply, the last one repeats. Also gives what was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(json.loads(body) | {"path": self.path, "key": self.headers["Authorization"]})
            reply = replies[min(len(asked), len(replies)) - 1]
            content, status = b'{"error": {"message": "\\u0007no, not with %s"}}' % KEY.encode(), 200
            if isinstance(reply, int):
                status = reply
            elif isinstance(reply, bytes):
                content = reply
            else:
                choice = {"index": 0, "finish_reason": "stop", "message": reply(asked[-1]["messages"])}
                usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 7, "total_tokens": len(body) // 4 + 7}
                content = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def calling(arguments: str, tool: str = "get_campaign") -> Message:
    call = {"id": "a", "type": "function", "function": {"name": tool, "arguments": arguments}, "extra": "kept"}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def saying(text: str) -> Message:
    return {"role": "assistant", "content": text}


async def test_over_http_the_right_model_passes_all_questions_and_the_wrong_one_none() -> None:
    right, wrong = (Scripted(way, load()).message for way in ("right", "wrong"))
    async with Servers() as servers, httpx2.AsyncClient() as http:
        with endpoint(right) as (url, asked):
            outcomes = await evaluate(load(), Endpoint("m-1", url, KEY, http), servers, structured=True)
        assert [(outcome.question.id, outcome.problems) for outcome in outcomes if outcome.problems] == []
        assert {(each["path"], each["key"], each["model"]) for each in asked} == {
            ("/v1/chat/completions", f"Bearer {KEY}", "m-1")
        }
        assert asked[0]["tools"][0]["function"].keys() == {"name", "description", "parameters"}
        assert "Report what stands in attention first" in asked[0]["messages"][0]["content"]
        used = sum(len(outcome.calls) + 1 for outcome in outcomes)
        assert len(asked) == used
        assert f" + {7 * used:,} = " in markdown(outcomes, model="m-1", threshold=0.9, at=NOW)
        with endpoint(wrong) as (url, _):
            outcomes = await evaluate(load(), Endpoint("m-2", url, None, http), servers, structured=True)
        assert score(outcomes) == 0
        assert [outcome.question.id for outcome in outcomes if outcome.passed] == []


class Saying:
    """A model that says one thing after the other, the last one again and again, and keeps what it was shown."""

    name = "saying"

    def __init__(self, *replies: Message) -> None:
        self._replies, self._turn = replies, count()
        self.shown: list[Message] = []

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        self.shown = list(messages)
        return Reply(self._replies[min(next(self._turn), len(self._replies) - 1)], Usage(10, 1))


async def ask(question_id: str, model: Model, servers: Servers, **options: Any) -> Outcome:
    (outcome,) = await evaluate([QUESTIONS[question_id]], model, servers, **options)
    return outcome


async def test_a_model_that_errs_is_told_and_goes_on() -> None:
    """Bad JSON, JSON that is no object or no Unicode, an unknown tool, wrong arguments; then a right call."""
    campaign_id = QUESTIONS["status-paused"].expect.calls[0].arguments["campaign_id"]
    errors = [calling(text) for text in ('{"campaign_id": ', "[1]", '{"campaign_id": "\\ud800"}', '{"a": NaN}')]
    model = Saying(
        *errors,
        calling("{}", tool="delete_campaign"),
        calling(""),
        calling(json.dumps({"campaign_id": campaign_id})),
        saying("Paused."),
    )
    async with Servers() as servers:
        outcome = await ask("status-paused", model, servers)
        assert outcome.passed
        told = [message["content"] for message in model.shown if message["role"] == "tool"]
        assert told[:4] == ["Error: the arguments are not a JSON object."] * 4
        assert "Unknown tool" in told[4]
        assert "campaign_id is missing" in told[5]
        assert told[6].startswith("Running outbound campaign with new chats paused")
        assert f'{{"id":"{campaign_id}"' in told[6], "the text is both blocks"
        assert outcome.usage == Usage(80, 8)
        assert model.shown[2]["tool_calls"][0]["extra"] == "kept"

        endless = Saying(calling(json.dumps({"campaign_id": campaign_id})))
        outcome = await ask("status-paused", endless, servers, turns=3, structured=True)
        assert outcome.problems == ["no answer within 3 turns"]
        assert len(outcome.calls) == 3
        assert json.loads(endless.shown[-1]["content"])["summary"]["status"] == "new_chats_paused"


async def reply_from(url: str) -> Reply:
    async with httpx2.AsyncClient() as http:
        return await Endpoint("m", url, KEY, http).reply([{"role": "user", "content": "?"}], [])


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_overloaded_endpoint_is_asked_a_few_times(status: int) -> None:
    with stamina.set_testing(True, attempts=ATTEMPTS):  # without the waits
        with endpoint(status) as (url, asked), pytest.raises(EndpointError, match=f"answered {status}"):
            await reply_from(url)
        assert len(asked) == ATTEMPTS
        with endpoint(status, lambda _: saying("well")) as (url, asked):
            reply = await reply_from(url)
    assert (reply.text, reply.usage is not None, len(asked)) == ("well", True, 2)


@pytest.mark.parametrize("reply", [400, 401, 404, b"<html>", b"{}", b'{"choices": []}'])
async def test_another_error_of_the_endpoint_is_one_line_at_once_and_without_the_key(reply: int | bytes) -> None:
    with endpoint(reply) as (url, asked), pytest.raises(EndpointError) as caught:
        await reply_from(url)
    assert len(asked) == 1
    said = str(caught.value)
    assert said.isprintable()
    assert KEY not in said
    assert ("no, not with ***" in said) is isinstance(reply, int)


@pytest.mark.parametrize("usage", ["", ', "usage": null', ', "usage": {"prompt_tokens": "many"}'])
async def test_tokens_that_an_endpoint_does_not_tell_are_not_reported(usage: str) -> None:
    body = '{"choices": [{"message": {"content": [{"type": "text", "text": "4"}]}}]' + usage + "}"
    with endpoint(body.encode()) as (url, _):
        reply = await reply_from(url)
    assert (reply.text, reply.usage) == ("4", None)
    outcomes = [Outcome(QUESTIONS["group"], reply.text, [], known, []) for known in (Usage(1_000, 200), reply.usage)]
    report = markdown(outcomes, model="m", threshold=0.9, at=NOW)
    assert "Tokens: not reported" in report
    assert "| 1,000 + 200 = 1,200 |" in report


def test_nothing_that_a_model_says_breaks_the_report_s_table_or_is_markdown_in_it() -> None:
    hostile = "a | b `c` \\| `` ![x](https://example.com/?q)\n\n# <script>alert(1)</script> \u202e www.example.com \\"
    calls = [Made("t`|\n", {"q": hostile})]
    outcome = Outcome(QUESTIONS["group"], hostile, calls, None, [hostile])
    report = markdown([outcome], model=hostile, threshold=0.9, at=NOW)
    row = report.splitlines()[-1]
    assert row.count("|") == 7
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["group", "**fail**"]
    for cell in (cells[2], cells[3], cells[5], report.splitlines()[0].removeprefix("# Evaluation of ")):
        assert re.fullmatch(r"`[^`|\n]+`", cell), cell
    assert "0 of 1 right (0%)" in report
    assert (
        markdown([Outcome(QUESTIONS["group"], "x" * 10_000, [], None, [])], model="m", threshold=1, at=NOW)[2000:] == ""
    )


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVALS_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.evals", *arguments],
        cwd=ROOT,
        env=plain | inherited() | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )


def test_the_command_reports_and_its_exit_code_says_whether_the_threshold_is_reached(tmp_path: Path) -> None:
    some = ["--only", "status-paused", "--only", "form-of-an-id"]
    done = command("--scripted", "right", *some)
    assert done.returncode == 0, done.stderr
    assert "**2 of 2 right (100%)**" in done.stdout
    assert "Tokens: not reported" in done.stdout
    done = command("--scripted", "wrong", *some, "--report", str(tmp_path / "report.md"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "**0 of 2 right (0%)**" in (tmp_path / "report.md").read_text("utf-8")


def test_the_command_asks_an_endpoint_with_the_key_and_ends_with_what_it_has_where_that_fails() -> None:
    with endpoint(lambda _: saying("It is 24 hexadecimal digits."), 401) as (url, asked):
        some = ["--only", "form-of-an-id", "--only", "pause-it"]
        done = command("--model", "m", "--base-url", url, *some, EVALS_API_KEY=KEY)
    assert [each["key"] for each in asked] == [f"Bearer {KEY}"] * 2
    assert done.returncode == 3
    assert "**0 of 1 right (0%)**" in done.stdout
    assert "It ended after 1 of 2 questions, as the endpoint answered 401" in done.stdout
    assert done.stderr.splitlines() == [
        "pause-it: fail",
        'Error: the endpoint answered 401: " no, not with ***"',
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--scripted"),
        (["--model", "m"], "--base-url"),
        (["--scripted", "right", "--model", "m"], "--scripted"),
        (["--scripted", "right", "--only", "nobody"], "No such question: nobody"),
        (["--model", "m", "--base-url", "http://models.example.com/v1"], "must be https"),
        (["--model", "m", "--base-url", "models.example.com"], "not an http or https URL"),
        (["--scripted", "right", "--report", "/nowhere/report.md"], "can't be written"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, arguments, env={"EVALS_API_KEY": KEY})
    assert done.exit_code == 2
    assert said in done.output
    assert KEY not in done.output


def test_what_any_stands_for_is_any_value_but_none() -> None:
    question = QUESTIONS["paging"]
    (call,) = question.expect.calls
    assert call.arguments["cursor"] == ANY
    for cursor, right in (("c.1", True), ("", False), (None, False)):
        made = Made("find_campaigns", {**call.arguments, "status": "New chats paused", "cursor": cursor})
        assert (not problems(question.expect, truth(question), [made], NOW)) is right
