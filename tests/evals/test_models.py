"""The evaluation of a model: a real conversation with an endpoint and a server, its errors, and the report."""

import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.evals.checks import Made
from tests.evals.endpoint import ATTEMPTS, Endpoint, EndpointError
from tests.evals.models import Message, Model, Reply, Scripted, Usage
from tests.evals.questions import load
from tests.evals.report import markdown, score
from tests.evals.run import Outcome, evaluate
from tests.evals.servers import Environment, Servers, in_memory, over_stdio
from tests.support.chat_endpoint import ENDPOINT_KEY, calling, endpoint, saying

QUESTIONS = {question.id: question for question in load()}
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("connect", [in_memory, over_stdio])
async def test_over_http_the_right_model_passes_all_questions_and_the_wrong_model_none(
    connect: Callable[[Environment], Client],
) -> None:
    right, wrong = (Scripted(way, load()).message for way in ("right", "wrong"))
    async with Servers(connect) as servers, httpx2.AsyncClient() as http:
        with endpoint(right) as (url, requests):
            outcomes = await evaluate(load(), Endpoint("m-1", url, ENDPOINT_KEY, http), servers, structured=True)
        assert [(outcome.question.id, outcome.problems) for outcome in outcomes if outcome.problems] == []
        assert {(request["path"], request["key"], request["model"]) for request in requests} == {
            ("/v1/chat/completions", f"Bearer {ENDPOINT_KEY}", "m-1")
        }
        assert requests[0]["tools"][0]["function"].keys() == {"name", "description", "parameters"}
        assert "Report what stands in attention first" in requests[0]["messages"][0]["content"]
        turns = sum(len(outcome.calls) + 1 for outcome in outcomes)
        assert len(requests) == turns
        assert f" + {7 * turns:,} = " in markdown(outcomes, model="m-1", threshold=0.9, at=NOW)
        with endpoint(wrong) as (url, _):
            outcomes = await evaluate(load(), Endpoint("m-2", url, None, http), servers, structured=True)
        assert score(outcomes) == 0
        assert [outcome.question.id for outcome in outcomes if outcome.passed] == []


class Saying:
    """A model with fixed replies, of which the last one repeats. It keeps the last conversation in ``shown``."""

    name = "saying"

    def __init__(self, *replies: Message, cut_off: bool = False) -> None:
        self._replies, self._turn, self._cut_off = replies, count(), cut_off
        self.shown: list[Message] = []

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        self.shown = list(messages)
        return Reply(self._replies[min(next(self._turn), len(self._replies) - 1)], Usage(10, 1), self._cut_off)


async def ask(question_id: str, model: Model, servers: Servers, **options: Any) -> Outcome:
    (outcome,) = await evaluate([QUESTIONS[question_id]], model, servers, **options)
    return outcome


async def test_a_model_that_makes_errors_receives_them_and_can_continue() -> None:
    """Invalid JSON, JSON that is not an object or not Unicode, an unknown tool, wrong arguments; then a right call."""
    campaign_id = QUESTIONS["status-paused"].expect.calls[0].arguments["campaign_id"]
    errors = [calling(text) for text in ('{"campaign_id": ', "[1]", '{"campaign_id": "\\ud800"}', '{"a": NaN}')]
    model = Saying(
        *errors,
        calling("{}", tool="delete_campaign"),
        calling(""),
        calling(json.dumps({"campaign_id": campaign_id})),
        saying("Paused."),
    )
    async with Servers(in_memory) as servers:
        outcome = await ask("status-paused", model, servers)
        assert outcome.passed
        results = [message["content"] for message in model.shown if message["role"] == "tool"]
        assert results[:4] == ["Error: the arguments are not a JSON object."] * 4
        assert "Unknown tool" in results[4]
        assert "campaign_id is missing" in results[5]
        assert results[6].startswith("New chats paused: outbound campaign")
        assert f'{{"id":"{campaign_id}"' in results[6], "the text is both blocks"
        assert outcome.usage == Usage(80, 8)
        assert model.shown[2]["tool_calls"][0]["extra"] == "kept"

        endless = Saying(calling(json.dumps({"campaign_id": campaign_id})))
        outcome = await ask("status-paused", endless, servers, turns=3, structured=True)
        assert outcome.problems == ["no answer within 3 turns"]
        assert len(outcome.calls) == 3
        assert json.loads(endless.shown[-1]["content"])["summary"]["status"] == "new_chats_paused"


NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the authorities take a while to load, and no test needs them


async def reply_from(url: str, **options: Any) -> Reply:
    async with httpx2.AsyncClient(verify=NO_AUTHORITIES) as http:
        return await Endpoint("m", url, ENDPOINT_KEY, http, **options).reply([{"role": "user", "content": "?"}], [])


ANSWERS: list[tuple[str, bool, str | None]] = [
    ("<think>Is it running? Done: it is stopped. I've stopped it.</think>I can't stop it.", False, None),
    ("I can't stop it. <think>It is stopped. Done: I've stopped it.</think>", False, None),
    ("I've stopped campaigns before.</think> I cannot. <think>I've stopped", False, None),
    ("<think>I can't do that, but", True, "cut off at the limit of tokens (finish_reason: length)"),
    ("I can't", True, "cut off at the limit of tokens (finish_reason: length)"),
    ('<tool_call>{"name": "stop"}', False, "a call was left as text"),
    ('Next:\n{"name": "get_campaign", "arguments": {"campaign_id": "1"}}', False, "a call was left as text"),
    ("get_campaign(campaign_id='1')", False, "a call was left as text"),
    ("get_campaigns(1)", False, "the answer lacks"),
]
"""Answers to ``pause-it``: the text, whether it is cut off, and the first problem."""


async def test_thoughts_are_not_judged_and_an_answer_that_is_not_complete_is_named() -> None:
    async with Servers(in_memory) as servers:
        for answer, cut_off, problem in ANSWERS:
            outcome = await ask("pause-it", Saying(saying(answer), cut_off=cut_off), servers)
            assert outcome.passed is (problem is None), answer
            assert problem is None or outcome.problems[0].startswith(problem), answer
            assert outcome.messages[-1]["content"] == answer, "the model receives its thoughts unchanged"


@pytest.mark.parametrize(
    ("changed", "arguments"),
    [
        ({"arguments": {"campaign_id": "a"}}, '{"campaign_id": "a"}'),
        ({"arguments": None}, "{}"),
        ({"id": None}, '{"campaign_id": "a"}'),
        ({"id": 7}, '{"campaign_id": "a"}'),
    ],
)
async def test_calls_that_endpoints_return_in_another_form_are_read_and_sent_back_in_the_usual_form(
    changed: Message, arguments: str
) -> None:
    message = calling('{"campaign_id": "a"}')
    call = message["tool_calls"][0]
    call |= {name: value for name, value in changed.items() if name == "id"}
    call["function"] |= {name: value for name, value in changed.items() if name == "arguments"}
    with endpoint(lambda _: message | {"finish_reason": "tool_calls"}, lambda _: saying("24")) as (url, requests):
        async with Servers(in_memory) as servers, httpx2.AsyncClient(verify=NO_AUTHORITIES) as http:
            outcome = await ask("malformed-id", Endpoint("m", url, None, http), servers)
    assert outcome.calls == [Made("get_campaign", json.loads(arguments))]
    asked, result = requests[1]["messages"][-2:]
    assert asked["tool_calls"][0]["function"]["arguments"] == arguments
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"] != ""
    assert isinstance(result["tool_call_id"], str)
    assert "24" in result["content"] or "missing" in result["content"]


@pytest.mark.parametrize(("reason", "limit", "cut_off"), [("length", 8, True), ("stop", 7, True), ("stop", 8, False)])
async def test_a_message_is_cut_off_if_the_endpoint_says_so_or_it_has_all_tokens_that_it_may_have(
    reason: str, limit: int, cut_off: bool
) -> None:
    with endpoint(lambda _: saying("I can't") | {"finish_reason": reason}) as (url, _):
        assert (await reply_from(url, max_tokens=limit)).cut_off is cut_off


async def test_options_are_sent_only_if_given_and_another_name_of_max_tokens_is_tried_once() -> None:
    refused = b'{"error": {"message": "Unsupported parameter: max_tokens. Use max_completion_tokens."}}'
    async with httpx2.AsyncClient(verify=NO_AUTHORITIES) as http:
        with endpoint((400, refused), lambda _: saying("4")) as (url, requests):
            model = Endpoint("m", url, None, http, temperature=0, max_tokens=300)
            for _ in range(2):
                assert (await model.reply([], [])).text == "4"
        assert [request.get("max_tokens") for request in requests] == [300, None, None]
        assert [request.get("max_completion_tokens") for request in requests] == [None, 300, 300]
        assert {request["temperature"] for request in requests} == {0}
        with endpoint((400, refused)) as (url, requests):
            model = Endpoint("m", url, None, http, max_tokens=300)
            for _ in range(2):
                with pytest.raises(EndpointError, match="max_completion_tokens"):
                    await model.reply([], [])
        assert [request.get("max_tokens") for request in requests] == [300, None, 300]
        with endpoint((400, refused)) as (url, requests), pytest.raises(EndpointError):
            await Endpoint("m", url, None, http).reply([], [])
        assert [request.keys() & {"max_tokens", "max_completion_tokens", "temperature"} for request in requests] == [
            set()
        ]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_request_to_an_overloaded_endpoint_is_retried_a_few_times(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.evals.endpoint._MAX_WAIT_SECONDS", 0)
    with endpoint(status) as (url, requests), pytest.raises(EndpointError, match=f"answered {status}"):
        await reply_from(url)
    assert len(requests) == ATTEMPTS
    with endpoint(status, lambda _: saying("well")) as (url, requests):
        reply = await reply_from(url)
    assert (reply.text, reply.usage is not None, len(requests)) == ("well", True, 2)


@pytest.mark.parametrize("reply", [400, 401, 404, b"<html>", b"{}", b'{"choices": []}'])
async def test_other_errors_of_the_endpoint_are_reported_without_a_retry_in_one_line_without_the_key(
    reply: int | bytes,
) -> None:
    with endpoint(reply) as (url, requests), pytest.raises(EndpointError) as caught:
        await reply_from(url)
    assert len(requests) == 1
    message = str(caught.value)
    assert message.isprintable()
    assert ENDPOINT_KEY not in message
    assert ("no, not with ***" in message) is isinstance(reply, int)


@pytest.mark.parametrize("usage", ["", ', "usage": null', ', "usage": {"prompt_tokens": "many"}'])
async def test_tokens_that_an_endpoint_does_not_return_are_not_reported(usage: str) -> None:
    body = '{"choices": [{"message": {"content": [{"type": "text", "text": "4"}]}}]' + usage + "}"
    with endpoint(body.encode()) as (url, _):
        reply = await reply_from(url)
    assert (reply.text, reply.usage) == ("4", None)
    outcomes = [Outcome(QUESTIONS["group"], reply.text, [], [known], []) for known in (Usage(1_000, 200), reply.usage)]
    report = markdown(outcomes, model="m", threshold=0.9, at=NOW)
    assert "Tokens: not reported" in report
    assert "| 1,000 + 200 = 1,200 |" in report


def test_an_answer_of_a_model_never_breaks_the_table_of_the_report_and_is_never_markdown() -> None:
    hostile = "a | b `c` \\| `` ![x](https://example.com/?q)\n\n# <script>alert(1)</script> \u202e www.example.com \\"
    calls = [Made("t`|\n", {"q": hostile})]
    outcome = Outcome(QUESTIONS["group"], hostile, calls, [None], [hostile])
    report = markdown([outcome], model=hostile, threshold=0.9, at=NOW)
    row = report.splitlines()[-1]
    assert row.count("|") == 7
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["group", "**fail**"]
    for cell in (cells[2], cells[3], cells[5], report.splitlines()[0].removeprefix("# Evaluation of ")):
        assert re.fullmatch(r"`[^`|\n]+`", cell), cell
    assert "0 of 1 right (0%)" in report
    assert markdown([Outcome(QUESTIONS["group"], "x" * 10_000)], model="m", threshold=1, at=NOW)[2000:] == ""
