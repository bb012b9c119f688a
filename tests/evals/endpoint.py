"""The model behind an OpenAI-compatible endpoint: requests, retries, and the forms of an answer that endpoints use."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Any

import anyio
import httpx2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from callers_mcp.sanitize import quote
from tests.evals.models import Message, Reply, Usage

ATTEMPTS = 4
_MAX_WAIT_SECONDS = 60.0  # even if an endpoint requests a longer wait
_TIMEOUT = httpx2.Timeout(10, read=None)  # each question has a time limit; a model that reasons may be silent long
_UNUSABLE = {401, 402, 404}
"""A refused key, no credit, an unknown model: the next question would get the same answer."""


class EndpointError(Exception):
    """The endpoint returned no valid answer. The message is one line, without the key."""


class EndpointUnusable(EndpointError):
    """No later request would succeed."""


class _Overloaded(EndpointError):
    """A later request may succeed."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class _Unreachable(_Overloaded, EndpointUnusable):
    """Nothing accepts a connection, even after the retries."""


def _as_json(arguments: object) -> object:
    """Return arguments as their JSON text, which endpoints expect; some return the object, or null for none."""
    return arguments if isinstance(arguments, str) else json.dumps({} if arguments is None else arguments)


class _Function(BaseModel):
    name: str
    arguments: Annotated[str, BeforeValidator(_as_json)] = "{}"


class _ToolCall(BaseModel):
    """A tool call. Unknown fields are sent back unchanged, because some endpoints need them."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    id: str | None = None
    function: _Function


class _Answer(BaseModel):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: Annotated[list[_ToolCall] | None, AfterValidator(lambda calls: calls or None)] = None


class _Choice(BaseModel):
    message: _Answer
    finish_reason: Any = None


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
        temperature: Sent if it is given.
        max_tokens: The largest number of tokens of a message, sent if it is given.

    Attributes:
        sent: What is sent with each request beside the model, the messages and the tools.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str | None,
        http: httpx2.AsyncClient,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.name, self._http, self._key = name, http, key
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        given = {"temperature": temperature, "max_tokens": max_tokens}
        self.sent = {option: value for option, value in given.items() if value is not None}
        self._tried_other_name = max_tokens is None
        self._call_numbers = count()

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
        answer = await self._post({**body, **self.sent})
        if answer.status_code in (400, 422) and not self._tried_other_name and "max_tokens" in answer.text:
            self._tried_other_name = True
            renamed = {name: value for name, value in self.sent.items() if name != "max_tokens"}
            renamed["max_completion_tokens"] = self.sent["max_tokens"]
            again = await self._post({**body, **renamed})
            if again.status_code == 200:
                self.sent, answer = renamed, again
        return self._read(answer)

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            return await self._http.post(self._url, json=body, headers=headers, timeout=_TIMEOUT)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise _Unreachable(f"the endpoint can't be reached: {type(error).__name__}") from None
        except httpx2.RequestError as error:
            raise _Overloaded(f"the endpoint did not answer: {type(error).__name__}") from None

    def _read(self, answer: httpx2.Response) -> Reply:
        status = answer.status_code
        if status == 429 or status >= 500:
            seconds = re.fullmatch(r"\d{1,9}", answer.headers.get("Retry-After", ""))
            raise _Overloaded(
                f"the endpoint answered {status}{self._reason(answer)}", float(seconds[0]) if seconds else None
            )
        if status != 200:
            kind = EndpointUnusable if status in _UNUSABLE else EndpointError
            raise kind(f"the endpoint answered {status}{self._reason(answer)}")
        try:
            completion = _Completion.model_validate_json(answer.content)
        except ValidationError:
            raise EndpointError("the endpoint's answer is not a chat completion") from None
        choice = completion.choices[0]
        for call in choice.message.tool_calls or []:
            call.id = call.id or f"call_{next(self._call_numbers)}"
        message = {"role": "assistant", "content": None, **choice.message.model_dump(exclude_none=True)}
        usage = _usage(completion.usage)
        limit = self.sent.get("max_tokens") or self.sent.get("max_completion_tokens")
        # Some endpoints do not report that they cut a message off.
        at_limit = limit is not None and usage is not None and usage.completion >= limit
        return Reply(message, usage, choice.finish_reason == "length" or at_limit)

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
