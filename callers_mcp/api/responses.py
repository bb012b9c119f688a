"""Turns the API's answers into campaigns and errors."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from pydantic import JsonValue

from callers_mcp.access import OPERATOR, OrganizationAccess
from callers_mcp.api.errors import (
    Advice,
    CallersError,
    CampaignNotFound,
    Forbidden,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    UnexpectedResponse,
)
from callers_mcp.api.json_list import read_objects
from callers_mcp.api.json_reader import ADVICE, Document, read_object
from callers_mcp.api.key_mask import mask
from callers_mcp.api.request import CampaignRequest
from callers_mcp.sanitize import quote
from callers_mcp.settings import MAIN, variable

_MAX_MESSAGE_CHARACTERS = 400  # of the API's message that is quoted
_MAX_ERROR_BYTES = 65_536
_TRANSIENT_STATUSES = {408, 502, 503, 504}
_WRONG_BASE_URL = Advice.check(variable("base_url"), "The base URL is probably wrong:")
_REJECTED_ADVICE = Advice(
    "The same call will probably fail again: check the ids with the user.",
    "The same request will probably fail again: check the ids.",
)
_CHECK_SUB_ORGANIZATION = "Check that this sub-organization belongs to the key's organization."
_MESSAGE_FIELDS = ("message", "error", "errors")
_DOCUMENTED_FIELDS = (
    "id name active firstInteractionAt completedAt callParams organizationId webhooks slackUrl isIncoming variables "
    "pauseNewChats incomingPhoneNumber campaignGroupId campaignGroupName"
)
_CAMPAIGN_FIELDS = frozenset(_DOCUMENTED_FIELDS.split())
_MAX_RETRY_AFTER_SECONDS = 86_400.0
_MAX_RETRY_AFTER_CHARACTERS = 200
_seconds = re.compile(r"[0-9]{1,9}(?:\.[0-9]+)?")
_repeated = re.compile(r"(.+?)(?:\s*,\s*\1)+")  # a header that two servers on the way have set to the same value


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An HTTP answer, with the decompressed body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_campaign_response(response: RawResponse, request: CampaignRequest) -> Document:
    """Return the campaign in ``response``.

    Raises:
        CallersError: The answer is something else; the subclass says what.
    """
    with _http_status(response):
        _require_success(response, request)
        document = read_object(response.body, key=request.key)
        if not document.content:
            raise UnexpectedResponse("The API answered with an empty object instead of a campaign.", ADVICE)
        if _reports_error(document.content):
            raise _error_from_body(response, request)
        return document


def parse_list_response(
    response: RawResponse, request: CampaignRequest, envelope: dict[str, JsonValue]
) -> Iterator[Mapping[str, JsonValue] | None]:
    """Yield the campaigns in ``response``; each is read when it is requested, in steps that yield ``None``.

    ``envelope`` receives the fields beside the list, if there are any.

    Raises:
        CallersError: The answer is something else; the subclass says what.
    """
    with _http_status(response):
        _require_success(response, request)
        if _reports_error(_error_object(response)):
            raise _error_from_body(response, request)
        yield from read_objects(response.body, key=request.key, envelope=envelope)


@contextmanager
def _http_status(response: RawResponse) -> Iterator[None]:
    """Set the status of the errors that the block raises, and name a compression that was not requested."""
    try:
        yield
    except CallersError as error:
        codings = {coding.strip().lower() for coding in response.headers.get("content-encoding", "").split(",")}
        unknown = ", ".join(sorted(codings - {"", "identity", "gzip", "deflate"}))
        if unknown and isinstance(error, UnexpectedResponse) and response.status < 300:
            problem = f"The API's answer is compressed as {quote(unknown, 40)}, which was not requested."
            error = UnexpectedResponse(problem, _WRONG_BASE_URL)
        error.http_status = response.status
        raise error from None


def hide_existence(error: CallersError, request: CampaignRequest, access: OrganizationAccess) -> CallersError:
    """Return ``error`` without what the caller must not learn: whether something exists in other organizations."""
    if access.principal is OPERATOR or (access.organizations is None and access.allows(MAIN)):
        return error
    if isinstance(error, CampaignNotFound | Forbidden):
        return not_found(request)
    if isinstance(error, Rejected):
        return Rejected("The Callers API rejected the request.", _REJECTED_ADVICE, http_status=error.http_status)
    return error


def not_found(request: CampaignRequest) -> CampaignNotFound:
    """Return the error for a campaign that a caller may not see, which is the same as for one that does not exist."""
    if request.campaign_id is None:
        return CampaignNotFound(
            f"No campaigns are visible in {request.location}.",
            Advice("Ask the user to check which sub-organization is meant.", "Check the sub-organization's id."),
        )
    return CampaignNotFound(
        f"No campaign {request.campaign_id} is visible in {request.location}.",
        Advice(
            "Ask the user to check the id, and which sub-organization it belongs to.",
            "Check the id, and which sub-organization it belongs to.",
        ),
    )


def require_api_response(response: RawResponse) -> None:
    """Check that an answer to a request without a key can be the API's: 4xx, or 2xx with an object.

    Raises:
        CallersError: It is something else.
    """
    probe = CampaignRequest("", None, "", "")
    with _http_status(response):
        if 200 <= response.status < 300:
            _require_success(response, probe)
            read_object(response.body, key="")
        elif not 400 <= response.status < 500 or response.status in (408, 429) or _is_html(response):
            raise _error_from_status(response, probe)


def _require_success(response: RawResponse, request: CampaignRequest) -> None:
    if not 200 <= response.status < 300:
        raise _error_from_status(response, request)
    if not response.body.strip():
        raise UnexpectedResponse(f"The API's answer is empty ({response.status}).", _WRONG_BASE_URL)
    if _is_html(response):
        raise UnexpectedResponse(f"A web page (HTML) came back instead of JSON ({response.status}).", _WRONG_BASE_URL)


def _error_from_status(response: RawResponse, request: CampaignRequest) -> CallersError:
    status, seconds = response.status, _retry_after(response)
    wait = f"Try again in {_seconds_text(seconds)}." if seconds is not None else ""
    if status == 401:
        is_bearer = request.key[:6].lower() == "bearer"
        hint = " The key begins with Bearer, but the API takes only the key." if is_bearer else ""
        return Unauthorized(
            f"The Callers API refused the API key (401).{hint}",
            Advice.check(request.key_variable, "Trying again will not help:"),
        )
    if status == 429:
        return RateLimited(
            f"The Callers API asks for fewer requests (429). {wait or 'Try again later; it did not say when.'}",
            retry_after_seconds=seconds,
        )
    if status == 408 or status >= 500:
        return Unavailable(
            f"The Callers API can't answer now: status {status}",
            wait or "Trying again in a few minutes may help.",
            retry_after_seconds=seconds,
            transient=status in _TRANSIENT_STATUSES,
        )
    if status < 400:
        problem = f"The API answered with status {status}."
        if status >= 300 and status != 304:
            target = _redirect_target(response, request.key)
            problem = f"The API answered with a redirect ({status}{target}), which is never followed."
        return UnexpectedResponse(problem, _WRONG_BASE_URL)
    error_type = {403: Forbidden, 404: CampaignNotFound}.get(status, Rejected)
    problem, advice = _refusal(status, request)
    reason = _api_message(response, request.key) or (" It gave no reason." if error_type is Rejected else "")
    html_hint = (_WRONG_BASE_URL,) if _is_html(response) else ()
    return error_type(f"{problem} ({status}).{reason}", advice, *html_hint)


def _refusal(status: int, request: CampaignRequest) -> tuple[str, str | Advice]:
    """Return what a 4xx means, and what to do."""
    campaign, location = f"campaign {request.campaign_id}", request.location
    if request.campaign_id is None and status in (400, 403, 404):
        # The most likely cause is a wrong organization id.
        advice = Advice.check(f"that {variable('organization_id')} is the organization of the key")
        return {
            400: f"The Callers API would not list the campaigns of {location}",
            403: f"This API key may not list the campaigns of {location}",
            404: f"No campaigns are listed for {location}",
        }[status], _CHECK_SUB_ORGANIZATION if request.sub_organization_id else advice
    if status == 403:
        advice = Advice(
            "If it belongs to a sub-organization, call again with its sub_organization_id.",
            "If it belongs to a sub-organization, give the sub-organization's id.",
        )
        problem = f"This API key may not see {campaign} in {location}"
        return problem, _CHECK_SUB_ORGANIZATION if request.sub_organization_id else advice
    if status == 404:
        elsewhere = ("another sub-organization or to the main organization", " (sub_organization_id main)")
        if request.sub_organization_id is None:
            elsewhere = ("a sub-organization", " (then give its sub_organization_id)")
        return f"No {campaign} is visible in {location}", Advice(
            f"Ask the user to check the id; it may belong to {''.join(elsewhere)}.",
            f"Check the id; it may belong to {elsewhere[0]}.",
        )
    return "The Callers API rejected the request", _REJECTED_ADVICE


def _error_from_body(response: RawResponse, request: CampaignRequest) -> Rejected:
    return Rejected(f"The Callers API reported an error.{_api_message(response, request.key)}", _REJECTED_ADVICE)


def _reports_error(content: Mapping[str, JsonValue]) -> bool:
    """Return whether an object that came with a status of success is an error: the documented one, or a usual one."""
    if content.get("status") == "error" and "id" not in content:
        return True
    if not _CAMPAIGN_FIELDS.isdisjoint(content):
        return False
    success, words = content.get("success"), [content.get(name) for name in _MESSAGE_FIELDS]
    return success is False or (success is not True and any(words))


def _error_object(response: RawResponse) -> Mapping[str, JsonValue]:
    """Return the object in the body; an empty one if there is none, or if it is too long for an error."""
    if len(response.body) > _MAX_ERROR_BYTES:
        return {}
    try:
        content = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _api_message(response: RawResponse, key: str) -> str:
    """Return a sentence that quotes the API's own message: with the key masked, cleaned and truncated."""
    content = _error_object(response)
    for name in _MESSAGE_FIELDS:
        message = "; ".join(part for part in _texts(content.get(name)) if part.strip())
        if message:
            message = message.encode("utf-8", "replace").decode()
            return f" It says: {quote(mask(message, key), _MAX_MESSAGE_CHARACTERS)}."
    return ""


def _texts(value: JsonValue) -> list[str]:
    """Return the texts of a message, which may be a list, or an object with a message."""
    if isinstance(value, dict):
        value = value.get("message")
    if isinstance(value, list):
        objects = [member.get("message") if isinstance(member, dict) else member for member in value]
        return [member for member in objects if isinstance(member, str)]
    return [value] if isinstance(value, str) else []


def _is_html(response: RawResponse) -> bool:
    return response.body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _redirect_target(response: RawResponse, key: str) -> str:
    try:
        host = urlsplit(mask(response.headers.get("location", ""), key)).hostname
    except ValueError:
        return ""
    return f" to {quote(host, 80)}" if host else ""


def _retry_after(response: RawResponse) -> float | None:
    """Read ``Retry-After``, in seconds or as a date (RFC 9110, section 10.2.3); ``None`` if it can't be read."""
    value = response.headers.get("retry-after", "").strip()[:_MAX_RETRY_AFTER_CHARACTERS]
    if repeated := _repeated.fullmatch(value):
        value = repeated[1]
    if _seconds.fullmatch(value):
        seconds = float(value)
    else:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError, TypeError):
            return None
        seconds = max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return seconds if seconds <= _MAX_RETRY_AFTER_SECONDS else None


def _seconds_text(seconds: float) -> str:
    return "1 second" if math.ceil(seconds) == 1 else f"{math.ceil(seconds)} seconds"
