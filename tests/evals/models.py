"""The models: one behind an OpenAI-compatible endpoint, and one that follows the scripts of the questions."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import anyio
import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from callers_mcp.sanitize import quote
from tests.evals.questions import Question, Way

ATTEMPTS = 4
_MAX_WAIT_SECONDS = 60.0  # even if an endpoint requests a longer wait
_TIMEOUT = httpx2.Timeout(10, read=300)  # a model that reasons may send nothing for minutes

Message = dict[str, Any]


class Usage(NamedTuple):
    """Numbers of tokens."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's message, which is added to the conversation unchanged, and the tokens if the endpoint reports them."""

    message: Message
    usage: Usage | None

    @property
    def text(self) -> str:
        """The text of the answer, or an empty string."""
        content = self.message.get("content") or ""
        return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


class Model(Protocol):
    """Answers a conversation, with text or with tool calls."""

    @property
    def name(self) -> str:
        """The model's name in the report."""

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the next message of the conversation."""


class EndpointError(Exception):
    """The endpoint returned no valid answer. The message is one line, without the key."""


class _Overloaded(EndpointError):
    """A later request may succeed."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class _Function(BaseModel):
    name: str
    arguments: str = "{}"


class ToolCall(BaseModel):
    """A tool call that a model requests. Unknown fields are sent back unchanged, because some endpoints need them."""

    model_config = ConfigDict(extra="allow")

    id: str
    function: _Function


class _Answer(BaseModel):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None


class _Choice(BaseModel):
    message: _Answer


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


class Endpoint:
    """A model behind ``POST {base_url}/chat/completions``.

    Args:
        name: The endpoint's name of the model.
        base_url: For example ``https://api.openai.com/v1``.
        key: Sent as the bearer token; None sends no token, for a model on this machine.
        http: The client for the requests.
    """

    def __init__(self, name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> None:
        self.name, self._http, self._key = name, http, key
        self._url = f"{base_url.rstrip('/')}/chat/completions"

    async def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Reply:
        """Request an answer from the endpoint; retry a few times if it is overloaded.

        Raises:
            EndpointError: It returned no valid answer.
        """
        body = {"model": self.name, "messages": messages, "tools": tools}
        for number in range(ATTEMPTS - 1):
            try:
                return await self._request(body)
            except _Overloaded as error:
                wait = 2.0**number if error.seconds is None else error.seconds
            await anyio.sleep(min(wait, _MAX_WAIT_SECONDS))
        return await self._request(body)

    async def _request(self, body: Mapping[str, Any]) -> Reply:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            answer = await self._http.post(self._url, json=body, headers=headers, timeout=_TIMEOUT)
        except httpx2.RequestError as error:
            raise _Overloaded(f"the endpoint can't be reached: {type(error).__name__}") from None
        status = answer.status_code
        if status == 429 or status >= 500:
            seconds = re.fullmatch(r"\d{1,9}", answer.headers.get("Retry-After", ""))
            raise _Overloaded(
                f"the endpoint answered {status}{self._reason(answer)}", float(seconds[0]) if seconds else None
            )
        if status != 200:
            raise EndpointError(f"the endpoint answered {status}{self._reason(answer)}")
        try:
            completion = _Completion.model_validate_json(answer.content)
        except ValidationError:
            raise EndpointError("the endpoint's answer is not a chat completion") from None
        message = {"role": "assistant", "content": None, **completion.choices[0].message.model_dump(exclude_none=True)}
        return Reply(message, _usage(completion.usage))

    def _reason(self, answer: httpx2.Response) -> str:
        try:
            reason = str(answer.json()["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return ""
        masked = reason.replace(self._key, "***") if self._key else reason
        return f": {quote(masked, 200)}"


def _usage(reported: object) -> Usage | None:
    match reported:
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            return Usage(prompt, completion)
    return None


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
