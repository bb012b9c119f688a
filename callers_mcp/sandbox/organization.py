"""The generated campaigns, in addition to the samples: as many as a large account has, each computed from its number.

They are imported and generated on first use: most uses of the sandbox need only the samples, and a start stays fast.
"""

import threading
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from callers_mcp.sandbox import samples
from callers_mcp.sandbox.samples import SAMPLES, SUB_ORGANIZATION_ID, Campaign

SIZES = {None: 5_000, SUB_ORGANIZATION_ID: 40}
"""The number of campaigns in each organization, including its samples."""

# Times are relative to this, not to the time of each request, so that a list and a single campaign agree.
_LOADED_AT = datetime.now(UTC)
_RENEWAL_INTERVAL = 208  # one campaign in so many is in the first sample's group

Market = dict[str, Any]
_VALUES = tomllib.loads(Path(__file__).with_name("organization.toml").read_text("utf-8"))
_MARKETS: Sequence[Market] = _VALUES["markets"]
_BY_SHARE = [market for market in _MARKETS for _ in range(market["share"])]
_IN_BERLIN = [market for market in _MARKETS if market["language"] in ("de", "en-GB", "tr")]
_GROUPS = [group for market in _MARKETS for group in market["groups"]]
_ENGLISH = _MARKETS[0]

# An id has 4 bytes for the time, 5 for the organization and 3 for a counter, as in MongoDB. The samples have another 5.
_MACHINE_IDS = {None: "4be1a9d0c7", SUB_ORGANIZATION_ID: "4be1a9d0c8"}
_FIRST_SECOND, _SECONDS, _SCATTER = 0x65800000, 9_000, 0x9E3779

_T = TypeVar("_T")


def find(campaign_id: str, sub_organization_id: str | None) -> Campaign | None:
    """Return the generated campaign with this id (lower case), in the form of ``GET /campaigns/{id}``."""
    number = (int(campaign_id[:8], 16) - _FIRST_SECOND) // _SECONDS
    if number not in range(_generated_count(sub_organization_id)) or _id(number, sub_organization_id) != campaign_id:
        return None
    return _campaign(number, sub_organization_id)


def list_body(sub_organization_id: str | None, group_id: str | None) -> bytes:
    """Return the body of ``GET /campaigns``: all campaigns of the organization, or those of one group."""
    with _generating:  # without a lock, several threads would fill the cache at once
        elements = _elements(sub_organization_id)
    # The samples are created for each request, as for a single campaign: their times are relative to it.
    fresh = [_element(make()) for owner, make in SAMPLES.values() if owner == sub_organization_id]
    selected = [content for _, group, content in sorted([*elements, *fresh]) if group_id in (None, group)]
    return b"[" + b",".join(selected) + b"]"


_generating = threading.Lock()


@cache
def _elements(sub_organization_id: str | None) -> list[tuple[str, str, bytes]]:
    return sorted(
        _element(_campaign(number, sub_organization_id)) for number in range(_generated_count(sub_organization_id))
    )


def _element(campaign: Campaign) -> tuple[str, str, bytes]:
    """Return the sort key, the group and the JSON. The key is the reversed id, which scatters the samples."""
    email_params = _VALUES["email_params"] | {"timezone": campaign["callParams"]["timezone"]}
    content = samples.as_json(campaign | {"emailParams": email_params})
    return campaign["id"][::-1], campaign["campaignGroupId"] or "", content


class _SeededRandom:
    """Repeatable random numbers: the digits of a large number that is computed from the seed."""

    def __init__(self, seed: str) -> None:
        digest = blake2b(seed.encode(), digest_size=64).digest()
        self._remaining, self.token = int.from_bytes(digest[:32], "big"), digest[32:].hex()

    def below(self, limit: int) -> int:
        self._remaining, drawn = divmod(self._remaining, limit)
        return drawn

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[self.below(len(choices))]


def _generated_count(sub_organization_id: str | None) -> int:
    return SIZES[sub_organization_id] - sum(owner == sub_organization_id for owner, _ in SAMPLES.values())


def _id(number: int, sub_organization_id: str | None) -> str:
    second, counter = _FIRST_SECOND + number * _SECONDS, (number + 1) * _SCATTER % 2**24
    return f"{second:08x}{_MACHINE_IDS[sub_organization_id]}{counter:06x}"


def _campaign(number: int, sub_organization_id: str | None) -> Campaign:
    random = _SeededRandom(f"{sub_organization_id} {number}")
    renewal, others = divmod(number, _RENEWAL_INTERVAL)
    if sub_organization_id or others:
        market = random.one_of(_IN_BERLIN if sub_organization_id else _BY_SHARE)
        words = _ENGLISH | market
        name = words["form"].format(purpose=random.one_of(words["purposes"]), team=random.one_of(words["teams"]))
        name += random.one_of(words["suffixes"]).format(n=1 + random.below(52))
        group_id, group = _group(market, random, sub_organization_id)
    else:
        market, group_id, group = _ENGLISH, samples.RENEWALS_ID, "Renewals"
        kinds, cities = _VALUES["renewals"], _VALUES["cities"]
        name = f"Renewals {kinds[renewal % len(kinds)]} {cities[renewal % len(cities)]}"
    is_incoming = random.below(7) == 0
    problem = random.one_of(_VALUES["problems"]) if random.below(100) < 3 else None
    state = "completed" if problem in _VALUES["problems"][:2] else random.one_of(_VALUES["states"])
    made_at = datetime.fromtimestamp(_FIRST_SECOND + number * _SECONDS, UTC)  # no time is earlier
    first, completed = (at and samples.time_text(max(at, made_at)) for at in _times(random, state, problem))
    return {
        "id": _id(number, sub_organization_id),
        "name": name,
        "active": state in ("running", "paused") or problem == "completed but active",
        "firstInteractionAt": first,
        "completedAt": completed,
        "callParams": _call_params(market, random, is_incoming, problem),
        "organizationId": sub_organization_id or samples.ORGANIZATION_ID,
        "webhooks": _webhooks(random, problem),
        "slackUrl": None if random.below(3) else f"https://hooks.slack.com/services/T000/B000/{random.token[:24]}",
        "isIncoming": is_incoming,
        "variables": _VALUES["variables"][random.below(4) : 4 + random.below(8)],
        "pauseNewChats": state == "paused",
        "incomingPhoneNumber": _phone(market, random) if is_incoming else None,
        "campaignGroupId": group_id,
        "campaignGroupName": group,
    }


def _group(market: Market, random: _SeededRandom, sub_organization_id: str | None) -> tuple[str | None, str | None]:
    if random.below(5) == 0:
        return None, None
    name = random.one_of(market["groups"])
    return f"65bb001122334455667{8 if sub_organization_id else 7}{0x9000 + _GROUPS.index(name):04x}", name


def _times(random: _SeededRandom, state: str, problem: str | None) -> tuple[datetime | None, datetime | None]:
    """Return when the first interaction was and when it was completed."""
    if state == "not started" or (state == "running" and random.below(12) == 0):
        return None, None
    days = random.below(60) if state in ("running", "paused") else 2 + random.below(500)
    first = _LOADED_AT - timedelta(days=days, milliseconds=random.below(86_400_000))
    if state != "completed":
        return first, None
    lasted = timedelta(days=1 + random.below(days - 1), milliseconds=random.below(86_400_000))
    return first, first - lasted if problem == "completed too early" else first + lasted


def _call_params(market: Market, random: _SeededRandom, is_incoming: bool, problem: str | None) -> Campaign:
    phones = dict.fromkeys(_phone(market, random) for _ in range(1 + random.below(3)))
    return {
        "phonesFrom": [] if is_incoming else list(phones),
        "timezone": random.one_of(_VALUES["invalid_zones"] if problem == "no such zone" else market["zones"]),
        "daysOfWeek": random.one_of(_VALUES["days_from_sunday" if market["language"] in ("ar", "he") else "days"]),
        "language": market["language"],
        "approvedCountries": market["countries"][: 1 + random.below(3)],
    }


def _phone(market: Market, random: _SeededRandom) -> str:
    return f"{market['dial']}{100 + random.below(100)}"


def _webhooks(random: _SeededRandom, problem: str | None) -> list[str]:
    hooks = _VALUES["hooks"]
    urls = [
        f"https://hooks.example.com/callers/{random.one_of(hooks)}?token={random.token[start : start + 16]}"
        for start in (24, 40)[: random.below(3)]
    ]
    return [*urls, f"http://crm.example.com/in?token={random.token[:8]}"] if problem == "http" else urls
