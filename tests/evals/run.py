"""Asks a model the questions: its tool calls go to the real server until it answers, and the answer is checked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
from pydantic_core import from_json

from tests.evals.checks import Made, has_call, problems
from tests.evals.endpoint import EndpointError, EndpointUnusable
from tests.evals.models import Message, Model, Reply, Usage
from tests.evals.questions import Question
from tests.evals.servers import Server, Servers

TURNS = 8
TIMEOUT_SECONDS = 300.0


@dataclass(slots=True)
class Outcome:
    """The outcome of a question.

    Attributes:
        messages: The conversation, as it was sent to the model.
        usages: The tokens of each message of the model; None if the endpoint did not report them.
    """

    question: Question
    answer: str = ""
    calls: list[Made] = field(default_factory=list)
    usages: list[Usage | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    seconds: float = 0

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return not self.problems

    @property
    def usage(self) -> Usage | None:
        """The tokens of the question, or None if they are not known."""
        return total(self.usages)


async def evaluate(
    questions: Sequence[Question],
    model: Model,
    servers: Servers,
    *,
    turns: int = TURNS,
    timeout_seconds: float = TIMEOUT_SECONDS,
    structured: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Ask the questions, one after the other, and return their outcomes.

    Args:
        questions: The questions.
        model: The model that answers them.
        servers: The servers with the tools.
        turns: The largest number of the model's messages for one question.
        timeout_seconds: The time limit of one question.
        structured: Whether the model receives the structured content of results, or their text.
        on_outcome: Called with each outcome as soon as it is known.

    Raises:
        EndpointUnusable: The endpoint answers no question. An answer that is not valid only fails its question.
    """
    outcomes = []
    for question in questions:
        server = await servers.get(question.api)
        outcome = Outcome(question)
        started = time.monotonic()
        with anyio.move_on_after(timeout_seconds) as limit:
            await _ask(outcome, model, server, turns, structured=structured)
        if limit.cancelled_caught:
            outcome.problems = [f"no answer within {timeout_seconds:g} seconds"]
        outcome.seconds = time.monotonic() - started
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


async def _ask(outcome: Outcome, model: Model, server: Server, turns: int, *, structured: bool) -> None:
    question, messages = outcome.question, outcome.messages
    if server.instructions:
        messages.append({"role": "system", "content": server.instructions})
    messages.append({"role": "user", "content": question.ask})
    for _ in range(turns):
        try:
            reply = await model.reply(messages, server.tools)
        except EndpointUnusable:
            raise
        except EndpointError as error:
            outcome.problems = [str(error)]
            return
        outcome.usages.append(reply.usage)
        messages.append(reply.message)
        tool_calls = reply.message.get("tool_calls")
        if not tool_calls:
            outcome.answer = reply.text
            outcome.problems = _judge(outcome, reply, server)
            return
        for call in tool_calls:
            content = await _result(call["function"], server, outcome.calls, structured=structured)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    outcome.problems = [f"no answer within {turns} turns"]


def _judge(outcome: Outcome, reply: Reply, server: Server) -> list[str]:
    found = problems(outcome.question.expect, reply.text, outcome.calls, datetime.now(UTC))
    if found and has_call(reply.text, [tool["function"]["name"] for tool in server.tools]):
        found.insert(0, "a call was left as text")
    if reply.cut_off:
        found.insert(0, "cut off at the limit of tokens (finish_reason: length)")
    return found


async def _result(function: Message, server: Server, calls: list[Made], *, structured: bool) -> str:
    arguments = _arguments(function["arguments"])
    calls.append(Made(function["name"], arguments))
    if arguments is None:
        return "Error: the arguments are not a JSON object."
    return await server.call(function["name"], arguments, structured=structured)


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        arguments = from_json(text or "{}", allow_inf_nan=False)  # unlike json, it refuses lone surrogates
    except ValueError:
        return None
    return arguments if isinstance(arguments, dict) else None


def total(usages: Sequence[Usage | None]) -> Usage | None:
    """Return the sum, or None if one is not known."""
    known = [usage for usage in usages if usage]
    if len(known) < len(usages):
        return None
    return Usage(sum(usage.prompt for usage in known), sum(usage.completion for usage in known))
