"""What is wrong with a campaign for certain, and what a careful colleague would ask about."""

from collections.abc import Sequence
from datetime import datetime

from callers_mcp.campaign.model import Campaign, Moment
from callers_mcp.campaign.schedule import find_zone
from callers_mcp.campaign.urls import host_of
from callers_mcp.sanitize import has_invisible, quote

_MOST_WEBHOOKS = 5  # that are named one by one
_MAY_HAVE_CHANGED = "the API may have changed"


def attention(campaign: Campaign, asked_for: str, now: datetime) -> list[str]:
    """Return what is wrong for certain, one sentence each."""
    first, completed = campaign.first_interaction, campaign.completed
    found: list[str] = []
    if campaign.id is not None and campaign.id.lower() != asked_for.lower():
        found.append(f"The API answered with campaign {quote(campaign.id, 40)}, but {asked_for} was asked for.")
    if campaign.active and completed.given:
        found.append("It is active, but has a completion time.")
    if first.at and completed.at and completed.at < first.at:
        found.append("It was completed before its first interaction.")
    found += _time_problems("first interaction", "firstInteractionAt", first, campaign, now)
    found += _time_problems("completion", "completedAt", completed, campaign, now)
    if campaign.timezone and not find_zone(campaign.timezone):
        found.append(f"Its time zone {quote(campaign.timezone, 60)} does not exist.")
    insecure = [
        f"Webhook {number} of {len(campaign.webhooks)} ({_where(url)}) is not https."
        for number, url in enumerate(campaign.webhooks, 1)
        if url.strip() and not url.strip().lower().startswith("https://")
    ]
    found += insecure[:_MOST_WEBHOOKS]
    if len(insecure) > _MOST_WEBHOOKS:
        found.append(f"{len(insecure) - _MOST_WEBHOOKS} more of its webhooks are not https.")
    if campaign.missing:
        found.append(f"{_fields(campaign.missing)} missing ({_MAY_HAVE_CHANGED}).")
    if campaign.mistyped:
        found.append(f"{_fields(campaign.mistyped)} not of the documented type ({_MAY_HAVE_CHANGED}).")
    return found


def worth_checking(campaign: Campaign, changes: Sequence[str]) -> list[str]:
    """Return what may well be right, one sentence each; ``changes`` is what had to be changed in raw."""
    found: list[str] = []
    if campaign.is_incoming is False:
        without = [
            words
            for name, values, words in (
                ("phonesFrom", campaign.phones_from, "number to call from"),
                ("approvedCountries", campaign.approved_countries, "approved countries"),
                ("daysOfWeek", campaign.days_of_week, "calling days"),
            )
            if name in campaign.has and not any(value.strip() for value in values)
        ]
        found += [f"It is outbound without {_article(words)} (fine for chat or e-mail alone)." for words in without]
    number = (campaign.incoming_phone_number or "").strip()
    if campaign.is_incoming and not number and "incomingPhoneNumber" not in campaign.mistyped:
        found.append("It is inbound without an incoming phone number (fine for chat or e-mail alone).")
    hidden = [
        words
        for words, text in (
            ("its name", campaign.name),
            ("its group's name", campaign.group_name),
            ("a variable", "\n".join(campaign.variables)),
        )
        if text and has_invisible(text)
    ]
    if hidden:
        found.append(
            f"Invisible or direction-changing characters are in {' and '.join(hidden)}: left out of this summary, "
            "in the raw JSON as sent."
        )
    return found + list(changes)


def _time_problems(words: str, name: str, moment: Moment, campaign: Campaign, now: datetime) -> list[str]:
    if name in campaign.mistyped:
        return []  # named there
    if moment.given and moment.at is None:
        return [f"The time of its {words} can't be read."]
    if moment.at and moment.at > now:
        return [f"The time of its {words} is in the future."]
    return []


def _where(url: str) -> str:
    """Name a webhook by its host alone: path and query may hold secrets."""
    return quote(host, 80) if (host := host_of(url)) else "without a host name"


def _fields(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"The documented field {names[0]} is"
    return f"The documented fields {', '.join(names[:-1])} and {names[-1]} are"


def _article(words: str) -> str:
    return f"a {words}" if words.startswith("number") else words
