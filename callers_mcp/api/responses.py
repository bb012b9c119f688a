"""What the API's answers mean: a campaign, or which error."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from pydantic import JsonValue

from callers_mcp.access import Caller
from callers_mcp.api.errors import (
    CallersError,
    CampaignNotFound,
    Forbidden,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
)
from callers_mcp.api.json_reader import Document, mask, read_object, read_objects
from callers_mcp.sanitize import quote
from callers_mcp.settings import variable

_MESSAGE_LIMIT = 400  # characters of the API's own message that are passed on
_LONGEST_ERROR = 65_536  # bytes
_TRANSIENT = {408, 502, 503, 504}
_WRONG_BASE_URL = f"The base URL is probably wrong: the operator checks {variable('base_url')}."
_REJECTED_ADVICE = "The same call will hardly succeed: check the ids with the user."
_LONGEST_WAIT = 86_400.0  # seconds that anybody can mean
_seconds = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body read and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was asked for, which an error's message has to name.

    Attributes:
        campaign_id: Which campaign; ``None`` asks for the list of them.
        place: In which sub-organization; ``None`` is the main organization.
        key: The API key.
        key_variable: Where that comes from.
        group_id: Of a list: only the campaigns of this group.
    """

    campaign_id: str | None
    place: str | None
    key: str = field(repr=False)
    key_variable: str
    group_id: str | None = None

    @property
    def where(self) -> str:
        """The place in words."""
        return "the main organization" if self.place is None else f"sub-organization {self.place}"


def read_campaign(answer: Answer, lookup: Lookup) -> Document:
    """Return the campaign that ``answer`` holds.

    Raises:
        CallersError: The answer is something else; which subclass, says what.
    """
    if not 200 <= answer.status < 300:
        raise _failure(answer, lookup)
    _require_json(answer)
    try:
        document = read_object(answer.body, key=lookup.key)
    except UnexpectedResponse as error:
        error.http_status = answer.status
        raise
    if document.content.get("status") == "error" and "id" not in document.content:
        raise _reported(answer, lookup)
    return document


def read_campaigns(answer: Answer, lookup: Lookup) -> Iterator[Mapping[str, JsonValue]]:
    """Return the campaigns that ``answer`` lists, each read when it is asked for.

    Raises:
        CallersError: The answer is something else; which subclass, says what.
    """
    if not 200 <= answer.status < 300:
        raise _failure(answer, lookup)
    _require_json(answer)
    if _is_error(answer):
        raise _reported(answer, lookup)
    try:
        for document in read_objects(answer.body, key=lookup.key):
            yield document.content
    except UnexpectedResponse as error:
        error.http_status = answer.status
        raise


def as_seen_by_some(error: CallersError, lookup: Lookup, caller: Caller) -> CallersError:
    """Return ``error`` as ``caller`` may read it: without all, one learns nothing of what exists elsewhere."""
    if caller.scope.is_full:
        return error
    if isinstance(error, CampaignNotFound | Forbidden):
        return not_visible(lookup)
    if isinstance(error, Rejected):
        return Rejected(f"The Callers API rejected the request. {_REJECTED_ADVICE}", http_status=error.http_status)
    return error


def not_visible(lookup: Lookup) -> CampaignNotFound:
    """Return the one error for what a caller may not see, or what does not exist."""
    if lookup.campaign_id is None:
        return CampaignNotFound(
            f"No campaigns are visible in {lookup.where}. Ask the user to check which sub-organization is meant."
        )
    return CampaignNotFound(
        f"No campaign {lookup.campaign_id} is visible in {lookup.where}. Ask the user to check the id, and which "
        "sub-organization it belongs to."
    )


def require_api_answer(answer: Answer) -> None:
    """Accept what an API that is asked without a key may answer: 4xx, or 2xx with an object.

    Raises:
        CallersError: Anything else.
    """
    if 200 <= answer.status < 300:
        _require_json(answer)
        read_object(answer.body, key="")
    elif not 400 <= answer.status < 500 or answer.status in (408, 429) or _is_html(answer):
        raise _failure(answer, Lookup("", None, "", ""))


def _require_json(answer: Answer) -> None:
    if not answer.body.strip():
        raise UnexpectedResponse(
            f"The API's answer is empty ({answer.status}). {_WRONG_BASE_URL}", http_status=answer.status
        )
    if _is_html(answer):
        raise UnexpectedResponse(
            f"A web page (HTML) came back instead of JSON ({answer.status}). {_WRONG_BASE_URL}",
            http_status=answer.status,
        )


def _failure(answer: Answer, lookup: Lookup) -> CallersError:
    status = answer.status
    said = _said(answer, lookup.key)
    seconds = _retry_after(answer)
    if status == 401:
        hint = (
            " The key begins with Bearer, but the API takes the key alone."
            if lookup.key[:6].lower() == "bearer"
            else ""
        )
        return Unauthorized(
            f"The Callers API refused the API key (401).{hint} Trying again will not help: the operator checks "
            f"{lookup.key_variable}.",
            http_status=status,
        )
    if status in (400, 403, 404) and lookup.campaign_id is None:
        return _unlisted(answer, lookup)
    if status == 403:
        advice = (
            "If it belongs to a sub-organization, call again with its sub_organization_id."
            if lookup.place is None
            else "Check that this sub-organization belongs to the key's organization."
        )
        return Forbidden(
            f"This API key may not see campaign {lookup.campaign_id} in {lookup.where} (403).{said} {advice}",
            http_status=status,
        )
    if status == 404:
        elsewhere = "a sub-organization (then give its sub_organization_id)"
        if lookup.place is not None:
            elsewhere = "another sub-organization or to the main organization (sub_organization_id main)"
        page = f" {_WRONG_BASE_URL}" if _is_html(answer) else ""
        return CampaignNotFound(
            f"No campaign {lookup.campaign_id} is visible in {lookup.where} (404).{said} Ask the user to check the id; "
            f"it may belong to {elsewhere}.{page}",
            http_status=status,
        )
    if status == 429:
        when = "Try again later; it did not say when." if seconds is None else f"Try again in {_in_words(seconds)}."
        return RateLimited(
            f"The Callers API asks for fewer requests (429). {when}", http_status=status, retry_after_seconds=seconds
        )
    if status == 408 or status >= 500:
        error = Unavailable(
            f"The Callers API can't answer now: status {status}",
            "Trying again in a few minutes may help." if seconds is None else f"Try again in {_in_words(seconds)}.",
            http_status=status,
            transient=status in _TRANSIENT,
        )
        error.retry_after_seconds = seconds
        return error
    if 300 <= status < 400 and status != 304:
        return UnexpectedResponse(
            f"The API answered with a redirect ({status}{_target(answer, lookup.key)}), which is never followed. "
            f"{_WRONG_BASE_URL}",
            http_status=status,
        )
    if status < 400:
        return UnexpectedResponse(f"The API answered with status {status}. {_WRONG_BASE_URL}", http_status=status)
    page = f" {_WRONG_BASE_URL}" if _is_html(answer) else ""
    return Rejected(
        f"The Callers API rejected the request ({status}).{said or ' It gave no reason.'} {_REJECTED_ADVICE}{page}",
        http_status=status,
    )


def _unlisted(answer: Answer, lookup: Lookup) -> CallersError:
    """Return the error of a list that is refused, or not there: the id asked for is the first thing to doubt."""
    said, status = _said(answer, lookup.key), answer.status
    advice = (
        f"The operator checks that {variable('organization_id')} is the organization of the key."
        if lookup.place is None
        else "Check that this sub-organization belongs to the key's organization."
    )
    page = f" {_WRONG_BASE_URL}" if _is_html(answer) else ""
    if status == 404:
        return CampaignNotFound(
            f"No campaigns are listed for {lookup.where} (404).{said} {advice}{page}", http_status=status
        )
    if status == 400:
        return Rejected(
            f"The Callers API would not list the campaigns of {lookup.where} (400).{said} {advice}", http_status=status
        )
    return Forbidden(
        f"This API key may not list the campaigns of {lookup.where} (403).{said} {advice}", http_status=status
    )


def _reported(answer: Answer, lookup: Lookup) -> Rejected:
    return Rejected(
        f"The Callers API reported an error.{_said(answer, lookup.key)} {_REJECTED_ADVICE}", http_status=answer.status
    )


def _is_error(answer: Answer) -> bool:
    """Tell whether the API's documented error, an object, came under a good status."""
    if len(answer.body) > _LONGEST_ERROR or answer.body.lstrip()[:1] != b"{":
        return False
    try:
        return bool(json.loads(answer.body).get("status") == "error")
    except (ValueError, RecursionError):
        return False


def _said(answer: Answer, key: str) -> str:
    """Return the API's own message as a sentence: the key masked, cleaned, cut, in quotation marks."""
    try:
        message = json.loads(answer.body).get("message")
    except (ValueError, AttributeError, RecursionError):
        return ""
    if isinstance(message, list):
        message = "; ".join(part for part in message if isinstance(part, str))
    if not isinstance(message, str) or not message.strip():
        return ""
    message = message.encode("utf-8", "replace").decode()
    return f" It says: {quote(mask(message, key), _MESSAGE_LIMIT)}."


def _is_html(answer: Answer) -> bool:
    return answer.body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _target(answer: Answer, key: str) -> str:
    try:
        host = urlsplit(mask(answer.headers.get("location", ""), key)).hostname
    except ValueError:
        return ""
    return f" to {quote(host, 80)}" if host else ""


def _retry_after(answer: Answer) -> float | None:
    """Read ``Retry-After``, in seconds or as a date (RFC 9110, section 10.2.3); ``None`` where it can't be read."""
    value = answer.headers.get("retry-after", "").strip()
    if _seconds.fullmatch(value):
        seconds = float(value)
    else:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError, TypeError):
            return None
        seconds = max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return seconds if seconds <= _LONGEST_WAIT else None


def _in_words(seconds: float) -> str:
    return "1 second" if math.ceil(seconds) == 1 else f"{math.ceil(seconds)} seconds"
