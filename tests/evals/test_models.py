"""The evaluation of a model: a real conversation with an endpoint and a server, its errors, and the report."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.evals.checks import Made
from tests.evals.models import ATTEMPTS, Endpoint, EndpointError, Message, Model, Reply, Scripted, Usage
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

    def __init__(self, *replies: Message) -> None:
        self._replies, self._turn = replies, count()
        self.shown: list[Message] = []

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        self.shown = list(messages)
        return Reply(self._replies[min(next(self._turn), len(self._replies) - 1)], Usage(10, 1))


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


async def reply_from(url: str) -> Reply:
    async with httpx2.AsyncClient() as http:
        return await Endpoint("m", url, ENDPOINT_KEY, http).reply([{"role": "user", "content": "?"}], [])


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_request_to_an_overloaded_endpoint_is_retried_a_few_times(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.evals.models._MAX_WAIT_SECONDS", 0)
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
    outcomes = [Outcome(QUESTIONS["group"], reply.text, [], known, []) for known in (Usage(1_000, 200), reply.usage)]
    report = markdown(outcomes, model="m", threshold=0.9, at=NOW)
    assert "Tokens: not reported" in report
    assert "| 1,000 + 200 = 1,200 |" in report


def test_an_answer_of_a_model_never_breaks_the_table_of_the_report_and_is_never_markdown() -> None:
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
