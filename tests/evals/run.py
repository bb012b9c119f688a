"""Asks a model the questions: its tool calls go to the real server until it answers, and the answer is checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from tests.evals.checks import Made, problems
from tests.evals.models import Message, Model, ToolCall, Usage
from tests.evals.questions import Question
from tests.evals.servers import Server, Servers

TURNS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a question. ``usage`` is None if the endpoint did not report it for each turn."""

    question: Question
    answer: str
    calls: Sequence[Made]
    usage: Usage | None
    problems: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return not self.problems


async def evaluate(
    questions: Sequence[Question],
    model: Model,
    servers: Servers,
    *,
    turns: int = TURNS,
    structured: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Ask the questions, one after the other, and return their outcomes.

    Args:
        questions: The questions.
        model: The model that answers them.
        servers: The servers with the tools.
        turns: The largest number of the model's messages for one question.
        structured: Whether the model receives the structured content of results, or their text.
        on_outcome: Called with each outcome as soon as it is known.

    Raises:
        EndpointError: The endpoint returned no valid answer.
    """
    outcomes = []
    for question in questions:
        outcome = await _ask(question, model, await servers.get(question.api), turns, structured=structured)
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


async def _ask(question: Question, model: Model, server: Server, turns: int, *, structured: bool) -> Outcome:
    messages: list[Message] = [
        {"role": "system", "content": server.instructions},
        {"role": "user", "content": question.ask},
    ]
    calls: list[Made] = []
    usages: list[Usage | None] = []
    for _ in range(turns):
        reply = await model.reply(messages, server.tools)
        usages.append(reply.usage)
        messages.append(reply.message)
        tool_calls = [ToolCall.model_validate(each) for each in reply.message.get("tool_calls") or []]
        if not tool_calls:
            found = problems(question.expect, reply.text, calls, datetime.now(UTC))
            return Outcome(question, reply.text, calls, total(usages), found)
        for call in tool_calls:
            content = await _result(call, server, calls, structured=structured)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    return Outcome(question, "", calls, total(usages), [f"no answer within {turns} turns"])


async def _result(call: ToolCall, server: Server, calls: list[Made], *, structured: bool) -> str:
    arguments = _arguments(call.function.arguments)
    calls.append(Made(call.function.name, arguments))
    if arguments is None:
        return "Error: the arguments are not a JSON object."
    return await server.call(call.function.name, arguments, structured=structured)


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
