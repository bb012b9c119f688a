"""The text that a model reads: the summary with one fact per line, then the raw JSON."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue
from pydantic_core import to_json

from callers_mcp.access import describe_organization
from callers_mcp.campaign.problems import NO_NUMBER_HINT
from callers_mcp.campaign.schedule import days_text
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
    if summary.name:
        yield f"Name: {quote(summary.name, _MAX_NAME_CHARACTERS)}"
    if summary.id:
        yield f"Id: {plain_or_quoted(summary.id)}"
    yield f"Status: {summary.status.replace('_', ' ')}"
    if summary.direction:
        yield f"Direction: {_DIRECTIONS[summary.direction]}"
    if summary.first_interaction_at:
        yield f"First interaction: {_time_text(summary.first_interaction_at, summary.days_since_first_interaction)}"
    if summary.completed_at:
        yield f"Completed: {_time_text(summary.completed_at, summary.days_since_completion)}"
    yield from _schedule_lines(summary)
    if summary.language:
        yield f"Language: {plain_or_quoted(summary.language)}"
    yield from _list_line("Approved countries", summary.approved_countries)
    yield from _list_line("Calls from", summary.outbound_phone_numbers)
    if NO_NUMBER_HINT in summary.worth_checking:
        yield "Calls from: no number"
    if summary.inbound_phone_number:
        yield f"Incoming number: {plain_or_quoted(summary.inbound_phone_number)}"
    if summary.group:
        name_part = [quote(summary.group.name, _MAX_NAME_CHARACTERS)] if summary.group.name else []
        id_part = [f"(id {plain_or_quoted(summary.group.id)})"] if summary.group.id else []
        yield f"Group: {' '.join(name_part + id_part)}"
    yield from _list_line("Webhooks go to", summary.webhook_hosts)
    if summary.slack_notifications is not None:
        yield f"Slack notifications: {'on' if summary.slack_notifications else 'off'}"
    if summary.variable_count:
        yield f"Variables: {summary.variable_count}"
    if summary.organization_id:
        yield f"Organization: {plain_or_quoted(summary.organization_id)}"
    yield f"Looked up in: {describe_organization(summary.sub_organization_id)}"
    yield f"As of: {summary.as_of}"


def _block(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield title
        yield from (f"- {sentence}" for sentence in sentences)


def _time_text(at: str, days: int | None) -> str:
    return at if days is None else f"{at} ({ago(days)})"


def _schedule_lines(summary: CampaignSummary) -> Iterator[str]:
    schedule = summary.schedule
    if schedule.days:
        today = {True: "; today is one of them", False: "; today is not one of them", None: ""}[schedule.is_calling_day]
        more = f" and {len(schedule.days) - _MAX_LISTED_VALUES} more" if len(schedule.days) > _MAX_LISTED_VALUES else ""
        yield f"Calling days: {days_text(schedule.days[:_MAX_LISTED_VALUES], ranges=False)}{more}{today}"
    if schedule.timezone:
        local = f" (local time {schedule.local_time})" if schedule.local_time else ""
        yield f"Time zone: {plain_or_quoted(schedule.timezone)}{local}"


def _list_line(title: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        more = f" and {len(values) - _MAX_LISTED_VALUES} more" if len(values) > _MAX_LISTED_VALUES else ""
        yield f"{title}: {', '.join(plain_or_quoted(value) for value in values[:_MAX_LISTED_VALUES])}{more}"
