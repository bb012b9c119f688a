"""A report on the shape of the API's answers: names, types and formats, but no value. It can go into a public issue."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any
from urllib.parse import urlencode

import click

from callers_mcp import __version__
from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError
from callers_mcp.api.events import Observer
from callers_mcp.api.json_reader import read_object
from callers_mcp.api.key import KeySource
from callers_mcp.api.paging import shows_more
from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.responses import RawResponse, parse_campaign_response, parse_list_response
from callers_mcp.api.retry import RetryPolicy
from callers_mcp.api.transport import ConnectionPool
from callers_mcp.settings import Settings

_CAMPAIGN = {
    "": "id name active firstInteractionAt completedAt callParams organizationId webhooks slackUrl isIncoming variables"
    " pauseNewChats incomingPhoneNumber campaignGroupId campaignGroupName emailParams",
    "callParams": "phonesFrom timezone daysOfWeek language approvedCountries",
    "emailParams": "outboundConnectionIds inboundConnectionIds followUpAttempts followUpIntervalMinutes signature"
    " followUpDelayMinutes fallbackEnabled retryFollowUp signatureName defaultSubject timezone",
}
"""The documented fields of a campaign, and of the objects in it."""

_ERROR = {"": "status message data"}
"""The same for the body of an error."""

_DAYS = "(MON|TUES|WEDNES|THURS|FRI|SATUR|SUN)DAY"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?"
_FORMATS = {
    "empty": r"\s*",
    "ObjectId": "[0-9a-f]{24}",
    "ISO time in UTC": _TIME + "Z",
    "ISO time with an offset": _TIME + r"[+-]\d\d:?\d\d",
    "ISO time without an offset": _TIME,
    "ISO date": r"\d{4}-\d\d-\d\d",
    "digits": r"\d+",
    "E.164 phone number": r"\+[1-9]\d{6,14}",
    "other phone number": r"[+(]?\d[\d ()./-]{5,}",
    "upper-case day name": _DAYS,
    "day name": f"(?i:{_DAYS})",
    "short day name": r"(?i:mon|tues?|wed|thu(rs?)?|fri|sat|sun)\.?",
    "two upper-case letters": "[A-Z]{2}",
    "two lower-case letters": "[a-z]{2}",
    "three upper-case letters": "[A-Z]{3}",
    "language tag": "[a-z]{2,3}([-_][A-Za-z0-9]{2,8})+",
    "time zone name": "[A-Z][A-Za-z]+(/[A-Z][A-Za-z_+-]+){1,2}",
    "URL": r"https?://\S+",
}
"""The formats of a text; the first that fits counts."""

_HEADER = re.compile("cache-control|content-type|etag|retry-after|(x-)?ratelimit(-(limit|policy|remaining|reset))?")
_ISOLATION = "The campaign in a made-up sub-organization: if the header is honoured, this is refused"
_MEDIA_TYPES = ("application/json", "application/problem+json", "text/html", "text/plain")
_TYPES = {bool: "boolean", int | float: "number", str: "string", list: "array", dict: "object"}
_NAME = re.compile(r"(?=.{1,41}\Z)_{0,2}[A-Za-z]+(_[A-Za-z]+)*\d{0,2}", re.ASCII)  # no id, no token
_NAME_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass
class _Section:
    """What one request shows: facts in words of this module, and JSON objects with their documented fields."""

    title: str
    facts: list[str]
    objects: list[Mapping[str, Any]] = field(default_factory=list)
    documented: Mapping[str, str] = field(default_factory=lambda: _CAMPAIGN)


async def print_report(settings: Settings, campaign_id: str) -> int:
    """Print the report on stdout, and return the exit code: 1 if the campaign can't be read."""
    pool = ConnectionPool(settings, Observer())
    try:
        keys, organization = KeySource(settings), CallersClient(settings).access.resolve(None)
        request = CampaignRequest(campaign_id, organization, keys.current(), keys.variable)
        sections = await _send_requests(pool, settings, request)
    except CallersError as error:
        click.echo(f"callers-mcp: {CallersClient(settings).mask(error.message_for_person)}", err=True)
        return 1
    finally:
        await pool.aclose()
    given = [settings.base_url, settings.organization_id, campaign_id, organization]
    values = {*_words([*given, *(section.objects for section in sections)])}
    click.echo(f"# The shape of the Callers API, seen by callers-mcp {__version__}: types and formats, no values")
    for section in sections:
        click.echo(f"\n## {section.title}\n")
        for line in (*section.facts, *_describe(section, values, request.key.casefold())):
            click.echo(f"- {line}")
    return 0


async def _send_requests(pool: ConnectionPool, settings: Settings, request: CampaignRequest) -> list[_Section]:
    """Return what each request shows; only the first one must succeed."""
    policy = RetryPolicy(settings.max_attempts, settings.timeout)

    async def get(path: str, request: CampaignRequest) -> RawResponse:
        headers = request.headers(secrets.token_hex(8))
        return await policy.run_with_deadline(partial(pool.get, path, headers, limited_by="list_max_body_bytes"))

    made_up, a_list = secrets.token_hex(12), replace(request, campaign_id=None)
    response = await get(f"/campaigns/{request.campaign_id}", request)
    campaign = parse_campaign_response(response, request).content
    sections = [_Section("A campaign", _facts(response), [campaign])]
    owner = request.sub_organization_id or str(campaign.get("organizationId"))[:128]
    for title, path, each in (
        ("An id that does not exist", f"/{made_up}", request),
        (_ISOLATION, f"/{request.campaign_id}", replace(request, sub_organization_id=made_up)),
        ("The list without organizationId", "", a_list),
        ("The list", f"?{urlencode({'organizationId': owner})}", a_list),
    ):
        sections.append(section := _Section(title, []))
        try:
            response = await get(f"/campaigns{path}", each)
            section.facts += _facts(response)
            if response.status >= 400:
                section.objects, section.documented = [read_object(response.body, key=request.key).content], _ERROR
            elif each.campaign_id is None:
                envelope: dict[str, Any] = {}
                section.objects = [row for row in parse_list_response(response, each, envelope) if row is not None]
                has_more = shows_more(response, envelope, len(section.objects))
                section.facts.append("there are more pages" if has_more else "nothing shows that there are more pages")
                sections.append(_Section("Fields beside the list", [] if envelope else ["none"], [envelope], {"": ""}))
        except CallersError as error:
            section.facts.append(f"no usable answer ({error.kind})")
    return sections


def _facts(response: RawResponse) -> list[str]:
    """Return lines for the status and the headers, with names and a media type of closed lists only."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    media_type = media_type if media_type in _MEDIA_TYPES else "another media type"
    names = sorted(name for name in map(str.lower, response.headers) if _HEADER.fullmatch(name))
    shown = (f"{name} ({media_type})" if name == "content-type" else name for name in names)
    return [f"status {response.status}", f"headers: {', '.join(shown) or 'none of those that are shown'}"]


def _describe(section: _Section, values: set[str], key: str) -> Iterator[str]:
    """Yield a line for each documented field, and for each other field of the objects or one level below."""
    for parent, names in section.documented.items():
        prefix, objects = f"{parent}." if parent else "", section.objects
        inside = [each[parent] for each in objects if isinstance(each.get(parent), dict)] if parent else objects
        others: dict[str, set[str]] = {}
        for each in inside:
            for name in each.keys() - names.split():
                shown = f"`{prefix}{name}`" if _is_usual(name, values, key) else f"{prefix}a field with an unusual name"
                others.setdefault(shown, set()).update(_kinds(each[name]))
        for name in names.split() if inside else ():
            kinds = set().union(*(_kinds(each[name]) if name in each else {"not there"} for each in inside))
            yield f"`{prefix}{name}`: {' or '.join(sorted(kinds))}"
        for shown, kinds in sorted(others.items()):
            yield f"not documented: {shown}: {' or '.join(sorted(kinds))}"


def _is_usual(name: str, values: set[str], key: str) -> bool:
    """Return whether a name is made of words, of which one is in no value, and none is a part of the key."""
    words = [word.casefold() for word in _NAME_WORD.findall(name)]
    in_key = any(len(word) > 3 and word in key for word in (name.casefold(), *words)) or key in name.casefold()
    return bool(_NAME.fullmatch(name)) and not in_key and name.casefold() not in values and not values.issuperset(words)


def _kinds(value: Any) -> set[str]:
    """Return the type of a JSON value with the format of a text; one for each type of the elements of an array."""
    if isinstance(value, str):
        return {f"string ({_format(value)})"}
    if isinstance(value, list):
        inside = (_kinds(each) if isinstance(each, str) else {_type(each)} for each in value)
        return {f"array of {kind}" for kinds in inside for kind in kinds} or {"array"}
    if isinstance(value, dict):
        return {f"object with {_type(each)}" for each in value.values()} or {"object"}
    return {_type(value)}


@cache  # in a list, most texts occur many times
def _format(text: str) -> str:
    return next((name for name, pattern in _FORMATS.items() if re.fullmatch(pattern, text, re.ASCII)), "other")


def _type(value: Any) -> str:
    return next((name for kind, name in _TYPES.items() if isinstance(value, kind)), "null")


def _words(waiting: list[Any]) -> Iterator[str]:
    """Yield the words of all texts in the values, in lower case; the list is empty afterwards."""
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield from re.findall(r"\w+", value.casefold())
        elif isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
