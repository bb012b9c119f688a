"""What is certainly wrong with a campaign (problems), and what may be worth a question (hints)."""

from collections.abc import Sequence
from datetime import datetime

from callers_mcp.campaign.model import Campaign
from callers_mcp.campaign.schedule import WEEK, Schedule
from callers_mcp.campaign.urls import host_of
from callers_mcp.sanitize import has_invisible, is_blank, quote

_MAX_NAMED_WEBHOOKS = 5
_MAX_NAMED_DAYS = 5
_MAY_HAVE_CHANGED = "the API may have changed"
_OUTBOUND_WITHOUT = "It is outbound without {} (fine for chat or e-mail only)."
NO_NUMBER_HINT = _OUTBOUND_WITHOUT.format("a number to call from")
"""The hint for a campaign that is certainly without a number to call from."""


def find_problems(campaign: Campaign, requested_id: str, now: datetime) -> list[str]:
    """Return what is certainly wrong, one sentence per problem."""
    first, completed = campaign.first_interaction, campaign.completed
    problems: list[str] = []
    if campaign.id is not None and campaign.id.lower() != requested_id.lower():
        problems.append(f"The API answered with campaign {quote(campaign.id, 40)}, but {requested_id} was asked for.")
    if campaign.active and completed.present:
        problems.append("It is active, but has a completion time.")
    if completed.is_before(first):
        problems.append("It was completed before its first interaction.")
    for event, timestamp in (("first interaction", first), ("completion", completed)):
        problem = "is in the future" if timestamp.is_in_future(now) else timestamp.problem
        problems += [f"The time of its {event} {problem}."] if problem else []
    if campaign.timezone and not campaign.zone:
        problems.append(f"Its time zone {quote(campaign.timezone, 60)} does not exist.")
    insecure = [
        (number, url)
        for number, url in enumerate(campaign.webhooks, 1)
        if (start := url.lstrip()[:8]) and start.lower() != "https://"
    ]
    problems += [
        f"Webhook {number} of {len(campaign.webhooks)} ({_webhook_host_text(url)}) is not https."
        for number, url in insecure[:_MAX_NAMED_WEBHOOKS]
    ]
    if len(insecure) > _MAX_NAMED_WEBHOOKS:
        problems.append(f"{len(insecure) - _MAX_NAMED_WEBHOOKS} more of its webhooks are not https.")
    if campaign.missing:
        problems.append(f"{_fields_text(campaign.missing)} missing ({_MAY_HAVE_CHANGED}).")
    if campaign.mistyped:
        problems.append(f"{_fields_text(campaign.mistyped)} not of the documented type ({_MAY_HAVE_CHANGED}).")
    return problems


def find_hints(campaign: Campaign, schedule: Schedule, notes: Sequence[str]) -> list[str]:
    """Return what may be right but is worth checking, one sentence per hint; ``notes`` (changes to raw) come last."""
    hints: list[str] = []
    if campaign.name is not None and is_blank(campaign.name):
        hints.append("Its name is blank.")
    for event, timestamp in (("first interaction", campaign.first_interaction), ("completion", campaign.completed)):
        hints += [f"The time of its {event} {timestamp.hint}."] if timestamp.hint else []
    if unknown := [quote(day, 40) for day in schedule.days if day not in WEEK]:
        more = f" and {len(unknown) - _MAX_NAMED_DAYS} more" if len(unknown) > _MAX_NAMED_DAYS else ""
        hints.append(f"Of its calling days, this is not understood: {', '.join(unknown[:_MAX_NAMED_DAYS])}{more}.")
    if campaign.is_incoming is False:
        without = [
            words
            for name, values, words in (
                ("phonesFrom", campaign.phones_from, "a number to call from"),
                ("approvedCountries", campaign.approved_countries, "approved countries"),
                ("daysOfWeek", campaign.days_of_week, "calling days"),
            )
            if name in campaign.valid_fields and not any(value.strip() for value in values)
        ]
        hints += map(_OUTBOUND_WITHOUT.format, without)
    number = (campaign.incoming_phone_number or "").strip()
    if campaign.is_incoming and not number and "incomingPhoneNumber" not in campaign.mistyped:
        hints.append("It is inbound without an incoming phone number (fine for chat or e-mail only).")
    hidden = [
        words
        for words, text in (
            ("its name", campaign.name),
            ("its group's name", campaign.group_name),
            ("a variable", "\n".join(campaign.variables)),
            ("its time zone", campaign.timezone_as_sent),
            ("its language", campaign.language),
            ("its calling days", "\n".join(campaign.days_of_week)),
            ("its approved countries", "\n".join(campaign.approved_countries)),
            ("its numbers", "\n".join([*campaign.phones_from, campaign.incoming_phone_number or ""])),
        )
        if text and has_invisible(text)
    ]
    if hidden:
        hints.append(
            f"Invisible or direction-changing characters are in {' and '.join(hidden)}: left out of this summary, "
            "in the raw JSON as sent."
        )
    return hints + list(notes)


def _webhook_host_text(url: str) -> str:
    """Return a webhook's host only: its path and query may contain secrets."""
    return quote(host, 80) if (host := host_of(url)) else "without a host name"


def _fields_text(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"The documented field {names[0]} is"
    return f"The documented fields {', '.join(names[:-1])} and {names[-1]} are"
