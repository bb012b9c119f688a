"""A campaign's summary, computed from the raw object."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from callers_mcp.campaign.model import Campaign, parse_campaign
from callers_mcp.campaign.problems import find_hints, find_problems
from callers_mcp.campaign.schedule import WEEK, Schedule, days_text, read_schedule
from callers_mcp.campaign.urls import host_of
from callers_mcp.sanitize import is_blank, sanitize

CampaignStatus = Literal["running", "new_chats_paused", "completed", "stopped", "not_started", "unknown"]
Direction = Literal["outbound", "inbound"]


class CampaignGroup(BaseModel):
    """The group of a campaign."""

    id: str | None
    name: str | None


class CampaignSummary(BaseModel):
    """The main facts of a campaign; a field is null or empty if the campaign has no value for it."""

    headline: str
    status: CampaignStatus
    attention: list[str] = Field(description="wrong for certain")
    worth_checking: list[str] = Field(description="may be right")
    id: str | None
    name: str | None
    organization_id: str | None
    sub_organization_id: str | None = Field(description="looked up there; null: main organization")
    as_of: str
    direction: Direction | None
    first_interaction_at: str | None
    days_since_first_interaction: int | None
    completed_at: str | None
    days_since_completion: int | None
    schedule: Schedule
    language: str | None
    approved_countries: list[str]
    outbound_phone_numbers: list[str]
    inbound_phone_number: str | None
    group: CampaignGroup | None
    webhook_hosts: list[str]
    slack_notifications: bool | None
    variable_count: int | None


def summarize(
    raw: Mapping[str, JsonValue],
    *,
    requested_id: str,
    sub_organization_id: str | None,
    now: datetime,
    notes: Sequence[str] = (),
) -> CampaignSummary:
    """Summarize the API's object; never raises, whatever its shape.

    Args:
        raw: The campaign as the API sent it.
        requested_id: The id that was requested.
        sub_organization_id: Where it was looked up; ``None`` for the main organization.
        now: The time of the look-up, aware.
        notes: What had to be changed in ``raw``, one sentence per change.
    """
    campaign = parse_campaign(raw, now)
    schedule = read_schedule(campaign, now)
    first, completed = campaign.first_interaction, campaign.completed
    summary = CampaignSummary(
        headline="",
        status=status_of(campaign),
        attention=find_problems(campaign, requested_id, now),
        worth_checking=find_hints(campaign, schedule, notes),
        id=_sanitized(campaign.id),
        name=_sanitized(campaign.name),
        organization_id=_sanitized(campaign.organization_id),
        sub_organization_id=sub_organization_id,
        as_of=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        direction=direction_of(campaign),
        first_interaction_at=str(first) or None,
        days_since_first_interaction=first.days_until(now),
        completed_at=str(completed) or None,
        days_since_completion=completed.days_until(now),
        schedule=schedule,
        language=_sanitized(campaign.language),
        approved_countries=_all_sanitized(campaign.approved_countries),
        outbound_phone_numbers=_all_sanitized(campaign.phones_from),
        inbound_phone_number=_sanitized(campaign.incoming_phone_number),
        group=_group(campaign),
        webhook_hosts=list(dict.fromkeys(host for url in dict.fromkeys(campaign.webhooks) if (host := host_of(url)))),
        slack_notifications=bool((campaign.slack_url or "").strip()) if "slackUrl" in campaign.valid_fields else None,
        variable_count=len(campaign.variables) if "variables" in campaign.valid_fields else None,
    )
    summary.headline = _headline(campaign, summary)
    return summary


def status_of(campaign: Campaign) -> CampaignStatus:
    """Return the status as one word."""
    if campaign.active is None:
        return "unknown"
    if campaign.active:
        return "new_chats_paused" if campaign.pause_new_chats else "running"
    if campaign.completed.present:
        return "completed"
    return "stopped" if campaign.first_interaction.present else "not_started"


def direction_of(campaign: Campaign) -> Direction | None:
    """Return the direction of the calls; ``None`` if the campaign does not state it."""
    if campaign.is_incoming is None:
        return None
    return "inbound" if campaign.is_incoming else "outbound"


def _sanitized(text: str | None) -> str | None:
    return None if text is None or is_blank(text) else sanitize(text)


def _all_sanitized(texts: Sequence[str]) -> list[str]:
    return [sanitized for text in texts if (sanitized := _sanitized(text))]


def _group(campaign: Campaign) -> CampaignGroup | None:
    group = CampaignGroup(id=_sanitized(campaign.group_id), name=_sanitized(campaign.group_name))
    return group if group.id or group.name else None


_STATUS_WORDS: dict[CampaignStatus, str] = {
    "running": "Running",
    "new_chats_paused": "New chats paused:",
    "completed": "Completed",
    "stopped": "Stopped",
    "not_started": "Not yet started",
    "unknown": "",
}


def _headline(campaign: Campaign, summary: CampaignSummary) -> str:
    """Describe the campaign in one sentence. The API's text gets in only if it is one of the known, safe values."""
    status, schedule = summary.status, summary.schedule
    words = [_STATUS_WORDS[status], summary.direction, "campaign"]
    if status == "unknown":
        words.append("of unknown status")
    sentence = " ".join(word for word in words if word)
    parts = [sentence[0].upper() + sentence[1:]]
    if summary.days_since_completion is not None and status == "completed":
        parts.append(f"ended {ago(summary.days_since_completion)}")
    if summary.days_since_first_interaction is not None:
        parts.append(f"first interaction {ago(summary.days_since_first_interaction)}")
    elif not campaign.first_interaction.present and status in ("running", "new_chats_paused"):
        parts.append("no interaction yet")
    known = all(day in WEEK for day in schedule.days)
    if schedule.days and known and status in ("running", "new_chats_paused", "not_started"):
        zone = f" ({campaign.zone.key})" if campaign.zone else ""
        parts.append(f"{'calls' if summary.direction == 'outbound' else 'active'} {days_text(schedule.days)}{zone}")
    return ", ".join(parts) + "."


def ago(days: int) -> str:
    """Return a number of days in words."""
    return "less than a day ago" if days == 0 else "1 day ago" if days == 1 else f"{days} days ago"
