"""The campaigns beside the samples: as many as a large account has, each a function of its number alone.

Loaded and made on first need: most uses of the sandbox are of the samples, and a start should not pay for this.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import TypeVar

from callers_mcp.sandbox.markets import MARKETS, Market
from callers_mcp.sandbox.samples import ORGANIZATION_ID, RENEWALS_ID, SAMPLES, SUB_ORGANIZATION_ID, Campaign, as_json

SIZES = {None: 5_000, SUB_ORGANIZATION_ID: 40}
"""How many campaigns each place has in all, its samples among them."""

# Times hang from this, not from each request's now, so that a list and a single answer agree.
_LOADED_AT = datetime.now(UTC)
_EVERY_RENEWAL = 208  # one in so many is in the first sample's group
_RENEWALS = ("follow-up", "second call", "reminder", "last chance", "win-back")
_CITIES = ("Leeds", "Bristol", "Cardiff", "Glasgow", "Sheffield", "Norwich", "Derby")

_BY_SHARE = [market for market in MARKETS for _ in range(market.share)]
_IN_BERLIN = [market for market in MARKETS if market.language in ("de", "en-GB", "tr")]
_BY_LANGUAGE = {market.language: market for market in MARKETS}
_GROUPS = [group for market in MARKETS for group in market.groups]

_WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_DAYS = (_WEEK[:5], _WEEK[:5], _WEEK[:5], _WEEK[:6], _WEEK, _WEEK[1:4], _WEEK[5:])
_DAYS_FROM_SUNDAY = (_WEEK[6:] + _WEEK[:4], _WEEK[6:] + _WEEK[:3], _WEEK)
_STATES = ("running",) * 10 + ("completed",) * 6 + ("paused", "paused", "stopped", "not started")
_PROBLEMS = ("completed too early", "completed but active", "http", "no such zone")
_NO_ZONES = ("Europe/Munich", "Asia/Beijing", "America/Boston", "Asia/Mumbai", "Europe/Lonon")
_HOOKS = ("post-call", "booked", "crm", "opt-out")
_VARIABLES = (
    *("firstName", "lastName", "appointmentAt", "branch", "contractNumber", "balance", "preferredLanguage"),
    *("agentName", "lastContactAt", "productName", "postcode", "renewalDate", "discountPercent", "caseId"),
)

# An id is 4 bytes of time, 5 of the place and 3 of a counter, as MongoDB's are; the samples' own 5 are others.
_MACHINES = {None: "4be1a9d0c7", SUB_ORGANIZATION_ID: "4be1a9d0c8"}
_FIRST_SECOND, _SECONDS, _SCATTER = 0x65800000, 9_000, 0x9E3779

_T = TypeVar("_T")


def find(campaign_id: str, place: str | None) -> Campaign | None:
    """Return the generated campaign of that id (in lower case) as ``GET /campaigns/{id}`` has it, in its own place."""
    number = (int(campaign_id[:8], 16) - _FIRST_SECOND) // _SECONDS
    if number not in range(_generated(place)) or _id(number, place) != campaign_id:
        return None
    return _campaign(number, place)


def listed(place: str | None, group_id: str | None) -> bytes:
    """Return the body of ``GET /campaigns``: all campaigns of the place, or those of one group."""
    with _making:  # a cache alone lets several threads make the same
        elements = _elements(place)
    # The samples are made anew, as for a single answer: their times are relative to each request.
    samples = [_element(make()) for held_in, make in SAMPLES.values() if held_in == place]
    wanted = [content for _, group, content in sorted([*elements, *samples]) if group_id in (None, group)]
    return b"[" + b",".join(wanted) + b"]"


_making = threading.Lock()


@cache
def _elements(place: str | None) -> list[tuple[str, str, bytes]]:
    return sorted(_element(_campaign(number, place)) for number in range(_generated(place)))


def _element(campaign: Campaign) -> tuple[str, str, bytes]:
    """Return what the list is sorted by, the group, and the JSON; backwards, the ids scatter the samples."""
    content = as_json(campaign | {"emailParams": _email_params(campaign)})
    return campaign["id"][::-1], campaign["campaignGroupId"] or "", content


class _Draws:
    """Repeatable draws: the digits of a large number that the seed alone decides."""

    def __init__(self, seed: str) -> None:
        digest = blake2b(seed.encode(), digest_size=64).digest()
        self._left, self.token = int.from_bytes(digest[:32], "big"), digest[32:].hex()

    def below(self, limit: int) -> int:
        self._left, drawn = divmod(self._left, limit)
        return drawn

    def one_of(self, choices: Sequence[_T]) -> _T:
        self._left, drawn = divmod(self._left, len(choices))
        return choices[drawn]


def _generated(place: str | None) -> int:
    return SIZES[place] - sum(held_in == place for held_in, _ in SAMPLES.values())


def _id(number: int, place: str | None) -> str:
    return f"{_FIRST_SECOND + number * _SECONDS:08x}{_MACHINES[place]}{(number + 1) * _SCATTER % 2**24:06x}"


def _campaign(number: int, place: str | None) -> Campaign:
    draws = _Draws(f"{place} {number}")
    renewal, others = divmod(number, _EVERY_RENEWAL)
    if place or others:
        market = draws.one_of(_IN_BERLIN if place else _BY_SHARE)
        name = market.form.format(purpose=draws.one_of(market.purposes), team=draws.one_of(market.teams))
        name += draws.one_of(market.whens).format(n=1 + draws.below(52))
        group_id, group = _group(market, draws, place)
    else:
        market, group_id, group = MARKETS[0], RENEWALS_ID, "Renewals"
        name = f"Renewals {_RENEWALS[renewal % len(_RENEWALS)]} {_CITIES[renewal % len(_CITIES)]}"
    is_incoming = draws.below(7) == 0
    problem = draws.one_of(_PROBLEMS) if draws.below(100) < 3 else None
    state = "completed" if problem in _PROBLEMS[:2] else draws.one_of(_STATES)
    first, completed = _times(draws, state, problem)
    return {
        "id": _id(number, place),
        "name": name,
        "active": state in ("running", "paused") or problem == "completed but active",
        "firstInteractionAt": first,
        "completedAt": completed,
        "callParams": _call_params(market, draws, is_incoming, problem),
        "organizationId": place or ORGANIZATION_ID,
        "webhooks": _webhooks(draws, problem),
        "slackUrl": None if draws.below(3) else f"https://hooks.slack.com/services/T000/B000/{draws.token[:24]}",
        "isIncoming": is_incoming,
        "variables": _VARIABLES[draws.below(4) : 4 + draws.below(8)],
        "pauseNewChats": state == "paused",
        "incomingPhoneNumber": _phone(market, draws) if is_incoming else None,
        "campaignGroupId": group_id,
        "campaignGroupName": group,
    }


def _group(market: Market, draws: _Draws, place: str | None) -> tuple[str | None, str | None]:
    if draws.below(5) == 0:
        return None, None
    name = draws.one_of(market.groups)
    return f"65bb001122334455667{8 if place else 7}{0x9000 + _GROUPS.index(name):04x}", name


def _times(draws: _Draws, state: str, problem: str | None) -> tuple[str | None, str | None]:
    """Return when the first interaction was and when it was completed."""
    if state == "not started" or (state == "running" and draws.below(12) == 0):
        return None, None
    days = draws.below(60) if state in ("running", "paused") else 2 + draws.below(500)
    first = _LOADED_AT - timedelta(days=days, milliseconds=draws.below(86_400_000))
    if state != "completed":
        return _iso(first), None
    lasted = timedelta(days=1 + draws.below(days - 1), milliseconds=draws.below(86_400_000))
    return _iso(first), _iso(first - lasted if problem == "completed too early" else first + lasted)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _call_params(market: Market, draws: _Draws, is_incoming: bool, problem: str | None) -> Campaign:
    phones = dict.fromkeys(_phone(market, draws) for _ in range(1 + draws.below(3)))
    return {
        "phonesFrom": [] if is_incoming else list(phones),
        "timezone": draws.one_of(_NO_ZONES if problem == "no such zone" else market.zones),
        "daysOfWeek": draws.one_of(_DAYS_FROM_SUNDAY if market.language in ("ar", "he") else _DAYS),
        "language": market.language,
        "approvedCountries": market.countries[: 1 + draws.below(3)],
    }


def _phone(market: Market, draws: _Draws) -> str:
    return f"{market.dial}{100 + draws.below(100)}"


def _webhooks(draws: _Draws, problem: str | None) -> list[str]:
    urls = [
        f"https://hooks.example.com/callers/{draws.one_of(_HOOKS)}?token={draws.token[start : start + 16]}"
        for start in (24, 40)[: draws.below(3)]
    ]
    return [*urls, f"http://crm.example.com/in?token={draws.token[:8]}"] if problem == "http" else urls


def _email_params(campaign: Campaign) -> Campaign:
    """Return the part that the list alone has."""
    draws, market = _Draws(campaign["id"]), _BY_LANGUAGE[campaign["callParams"]["language"]]
    person = draws.one_of(market.people)
    connections = [f"66{draws.token[start : start + 22]}" for start in (0, 30)[: 1 + draws.below(2)]]
    attempts = draws.below(5)
    return {
        "outboundConnectionIds": connections,
        "inboundConnectionIds": connections[: draws.below(2)],
        "followUpAttempts": attempts,
        "followUpIntervalMinutes": draws.one_of((60, 240, 1440, 2880, 4320)),
        "followUpDelayMinutes": draws.one_of((0, 5, 15, 30)),
        "fallbackEnabled": draws.below(2) == 1,
        "retryFollowUp": attempts > 1,
        "signature": f"<p>{person}<br>{draws.one_of(market.teams)}<br>team@example.com</p>",
        "signatureName": person,
        "defaultSubject": draws.one_of(market.purposes),
        "timezone": campaign["callParams"]["timezone"],
    }
