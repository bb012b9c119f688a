"""When a campaign calls: its days, its time zone, and its local time."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from callers_mcp.campaign.model import Campaign
from callers_mcp.sanitize import plain_or_quoted, sanitize

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ABBREVIATIONS = {day[:3]: day for day in WEEK} | {
    "tues": "tuesday",
    "weds": "wednesday",
    "thur": "thursday",
    "thurs": "thursday",
}


class Schedule(BaseModel):
    """The days on which a campaign calls, and the time in its time zone."""

    timezone: str | None
    local_time: str | None
    days: list[str]
    is_calling_day: bool | None


def read_schedule(campaign: Campaign, now: datetime) -> Schedule:
    """Return the schedule as of ``now``, an aware time."""
    local = now.astimezone(campaign.zone) if campaign.zone else None
    days = [sanitized for day in campaign.days_of_week if (sanitized := sanitize(day).strip())]
    recognised = {weekday for day in days if (weekday := _weekday(day))}
    others = list(dict.fromkeys(day for day in days if not _weekday(day)))
    is_calling_day: bool | None = None
    if local and days:
        today = WEEK[local.weekday()]
        # If one of the days can't be read, only "yes" is certain.
        is_calling_day = True if today in recognised else None if others else False
    return Schedule(
        timezone=campaign.timezone,
        local_time=local.isoformat(timespec="minutes") if local else None,
        days=[day for day in WEEK if day in recognised] + others,
        is_calling_day=is_calling_day,
    )


def days_text(days: Sequence[str]) -> str:
    """Return days as a person would say them: ``Monday to Friday``, ``every day``, ``Monday and "Feiertag"``."""
    if list(days) == list(WEEK):
        return "every day"
    words: list[str] = []
    run: list[str] = []
    for day in [*days, ""]:
        if run and (day not in WEEK or WEEK.index(day) != WEEK.index(run[-1]) + 1):
            words += [f"{run[0].title()} to {run[-1].title()}"] if len(run) > 2 else [name.title() for name in run]
            run = []
        if day in WEEK:
            run.append(day)
        elif day:
            words.append(plain_or_quoted(day))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _weekday(text: str) -> str | None:
    word = text.rstrip(".").lower()
    return word if word in WEEK else _ABBREVIATIONS.get(word)
