"""What a model is and returns, and the model that follows the scripts of the questions."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tests.evals.checks import without_thoughts
from tests.evals.questions import Question, Way

Message = dict[str, Any]


class Usage(NamedTuple):
    """Numbers of tokens."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's message, which is added to the conversation, and the tokens if the endpoint reports them.

    ``cut_off`` is whether the message ends at the limit of tokens.
    """

    message: Message
    usage: Usage | None
    cut_off: bool = False

    @property
    def text(self) -> str:
        """The text of the answer without the model's thoughts, or an empty string."""
        content = self.message.get("content") or ""
        parts = [content] if isinstance(content, str) else [str(part.get("text") or "") for part in content]
        return without_thoughts("".join(parts))


class Model(Protocol):
    """Answers a conversation, with text or with tool calls."""

    @property
    def name(self) -> str:
        """The model's name in the report."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the next message of the conversation."""


class Scripted:
    """A model that follows the scripts: ``right`` reads the results of the tools, ``wrong`` invents or obeys."""

    def __init__(self, way: Way, questions: Sequence[Question]) -> None:
        self.name = f"scripted: {way}"
        self._way = way
        self._questions = {question.ask: question for question in questions}

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the script's next tool call, or its answer."""
        return Reply(self.message(messages), None)

    def message(self, messages: Sequence[Message]) -> Message:
        """Return the next message, which depends only on the conversation."""
        question = next(message["content"] for message in messages if message["role"] == "user")
        script = self._questions[question].script(self._way)
        calls = script.calls or []
        results = [_read(message["content"]) for message in messages if message["role"] == "tool"]
        if len(results) < len(calls):
            call = calls[len(results)]
            arguments = {name: _fill(value, results) for name, value in call.arguments.items()}
            function = {"name": call.tool, "arguments": json.dumps(arguments)}
            call_id = f"call_{len(results)}"
            tool_calls = [{"id": call_id, "type": "function", "function": function}]
            return {"role": "assistant", "content": None, "tool_calls": tool_calls}
        for path, value in script.where.items():
            results = [result for result in results if _is_or_contains(_at(result, path), value)]
        return {"role": "assistant", "content": _fill(script.answer, results)}


def _read(content: str) -> Any:
    """Return a result's structured content, or its text if it has none."""
    try:
        return json.loads(content)
    except ValueError:
        return content


def _fill(template: Any, results: Sequence[Any]) -> Any:
    if not isinstance(template, str):
        return template
    return re.sub(r"\{([*\d]+(?:/[^{}]*)?)\}", lambda found: _as_text(_at(results, found[1])), template)


def _at(value: Any, path: str) -> Any:
    """Return the value at ``path``, for example ``summary/status``; ``*`` is every element, ``-1`` the last one."""
    step, _, rest = path.partition("/")
    if not step:
        return value
    if step == "*":
        return [_at(element, rest) for element in value]
    try:
        return _at(value[int(step)] if isinstance(value, list) else value[step], rest)
    except (LookupError, TypeError):  # not the kind of result that the script expects
        return "nothing"


def _is_or_contains(found: Any, wanted: str | bool) -> bool:
    return wanted in found if isinstance(found, list) else bool(found == wanted)


def _as_text(value: Any) -> str:
    return ", ".join(map(_as_text, value)) if isinstance(value, list) else str(value)
