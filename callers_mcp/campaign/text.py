"""The text that a model reads: the summary with one fact per line, then the raw JSON."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue
from pydantic_core import to_json

from callers_mcp.access import describe_organization
from callers_mcp.campaign.problems import NO_NUMBER_HINT
from callers_mcp.campaign.schedule import Schedule, days_text
from callers_mcp.campaign.summary import CampaignSummary, ago
from callers_mcp.sanitize import escape_invisible, plain_or_quoted, quote

_MAX_NAME_CHARACTERS = 200
_MAX_LISTED_VALUES = 12
_DIRECTIONS = {"outbound": "outbound (the campaign calls people)", "inbound": "inbound (people call the campaign)"}


def summary_text(summary: CampaignSummary) -> str:
    """Return the summary as text: headline, problems, hints, then the known facts, one per line."""
    return "\n".join(_lines(summary))


def raw_text(raw: Mapping[str, JsonValue]) -> str:
    """Return the raw object as compact JSON with invisible characters escaped."""
    return escape_invisible(to_json(raw).decode())


def _lines(summary: CampaignSummary) -> Iterator[str]:
    yield summary.headline
    yield from _block("Needs attention:", summary.attention)
    yield from _block("Worth checking:", summary.worth_checking)
    group, group_id = (summary.group.name, summary.group.id) if summary.group else (None, None)
    no_number = "no number" if NO_NUMBER_HINT in summary.worth_checking else ""
    facts = {
        "Name": _quoted(summary.name),
        "Id": _plain(summary.id),
        "Status": summary.status.replace("_", " "),
        "Direction": _DIRECTIONS.get(summary.direction or ""),
        "First interaction": _time_text(summary.first_interaction_at, summary.days_since_first_interaction),
        "Completed": _time_text(summary.completed_at, summary.days_since_completion),
        **_schedule_facts(summary.schedule),
        "Language": _plain(summary.language),
        "Approved countries": _list_text(summary.approved_countries),
        "Calls from": _list_text(summary.outbound_phone_numbers) or no_number,
        "Incoming number": _plain(summary.inbound_phone_number),
        "Group": f"{_quoted(group)} {f'(id {_plain(group_id)})' if group_id else ''}".strip(),
        "Webhooks go to": _list_text(summary.webhook_hosts),
        "Slack notifications": {True: "on", False: "off", None: ""}[summary.slack_notifications],
        "Variables": summary.variable_count,
        "Organization": _plain(summary.organization_id),
        "Looked up in": describe_organization(summary.sub_organization_id),
        "As of": summary.as_of,
    }
    yield from (f"{title}: {fact}" for title, fact in facts.items() if fact)


def _block(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield title
        yield from (f"- {sentence}" for sentence in sentences)


def _quoted(name: str | None) -> str:
    return quote(name, _MAX_NAME_CHARACTERS) if name else ""


def _plain(value: str | None) -> str:
    return plain_or_quoted(value) if value else ""


def _time_text(at: str | None, days: int | None) -> str | None:
    return at if days is None else f"{at} ({ago(days)})"


def _schedule_facts(schedule: Schedule) -> Mapping[str, str]:
    today = {True: "; today is one of them", False: "; today is not one of them", None: ""}[schedule.is_calling_day]
    days = days_text(schedule.days[:_MAX_LISTED_VALUES], ranges=False)
    local = f" (local time {schedule.local_time})" if schedule.local_time else ""
    return {
        "Calling days": f"{days}{_more(schedule.days)}{today}" if days else "",
        "Time zone": f"{_plain(schedule.timezone)}{local}",
    }


def _list_text(values: Sequence[str]) -> str:
    return f"{', '.join(map(plain_or_quoted, values[:_MAX_LISTED_VALUES]))}{_more(values)}"


def _more(values: Sequence[str]) -> str:
    return f" and {len(values) - _MAX_LISTED_VALUES} more" if len(values) > _MAX_LISTED_VALUES else ""
