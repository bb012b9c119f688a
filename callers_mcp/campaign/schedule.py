"""When a campaign calls: its days, its time zone, and its local time."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from pydantic import BaseModel

from callers_mcp.campaign.model import Campaign
from callers_mcp.sanitize import plain_or_quoted, sanitize

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMES = {name: day for day in WEEK for name in (day, day[:3])} | {
    "tues": "tuesday",
    "weds": "wednesday",
    "thur": "thursday",
    "thurs": "thursday",
}
_range = re.compile(r"\.?\s*(?:[-\u2010-\u2015]|\b(?:to|through)\b)\s*")
_separators = re.compile(r"[\s,;/|&+.]+(?:and\s+)?")
_MAX_CHARACTERS = 200  # of one text that names days


class Schedule(BaseModel):
    """The days on which a campaign calls, and the time in its time zone."""

    timezone: str | None
    local_time: str | None
    days: list[str]
    is_calling_day: bool | None


def read_schedule(campaign: Campaign, now: datetime) -> Schedule:
    """Return the schedule as of ``now``, an aware time."""
    local = now.astimezone(campaign.zone) if campaign.zone else None
    texts = dict.fromkeys(text for day in campaign.days_of_week if (text := sanitize(day).strip()))
    named = {text: _weekdays(text) for text in texts}
    recognised = set[str]().union(*named.values())
    others = [text for text, weekdays in named.items() if not weekdays]
    is_calling_day: bool | None = None
    if local and texts:
        # If one of the days can't be read, only "yes" is certain.
        is_calling_day = True if WEEK[local.weekday()] in recognised else None if others else False
    return Schedule(
        timezone=campaign.timezone,
        local_time=local.isoformat(timespec="minutes") if local else None,
        days=[day for day in WEEK if day in recognised] + others,
        is_calling_day=is_calling_day,
    )


def days_text(days: Sequence[str], *, ranges: bool = True) -> str:
    """Return days as a person would say them: ``Monday to Friday``, ``every day``, ``Monday and "Feiertag"``.

    Without ``ranges`` each day is named; models misread a range.
    """
    if list(days) == list(WEEK):
        return "every day"
    words: list[str] = []
    # Days that follow each other are as far from their places in the week.
    runs = groupby(enumerate(days), lambda pair: WEEK.index(pair[1]) - pair[0] if pair[1] in WEEK else pair[1])
    for _, run in runs:
        names = [day.title() if day in WEEK else plain_or_quoted(day) for _, day in run]
        words += [f"{names[0]} to {names[-1]}"] if ranges and len(names) > 2 else names
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _weekdays(text: str) -> set[str]:
    """Return the days that a text names in English, in a list or ranges (``Mon-Wed, Fri``); empty if one is unclear."""
    weekdays: set[str] = set()
    if len(text) > _MAX_CHARACTERS:
        return weekdays
    for part in _separators.split(_range.sub("-", text.lower()).strip(" ,;.")):
        first, *rest = [_NAMES.get(name) for name in part.split("-")]
        last = rest[0] if rest else first
        if first is None or last is None or len(rest) > 1:
            return set()
        start = WEEK.index(first)
        weekdays.update((WEEK + WEEK)[start : start + (WEEK.index(last) - start) % 7 + 1])
    return weekdays
