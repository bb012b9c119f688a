"""Tolerant parsing of the API's campaign object: read what is usable, and name what is not.

Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id (``CampaignPublicDto``).
"""

# ruff: noqa: RUF009 - _field returns a field, not a default that campaigns would share

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from callers_mcp.campaign.times import Timestamp, object_id_time, parse_time
from callers_mcp.campaign.zones import find_zone
from callers_mcp.sanitize import sanitize


def _field(name: str, kind: type, *, nullable: bool = False, optional: bool = False) -> Any:
    """Return a field that is read from the API's field ``name``.

    Args:
        name: The name; in an object, the object's name and a dot come before it.
        kind: The documented type: ``Timestamp`` for a time, ``list`` for a list of texts.
        nullable: Whether the value may be null.
        optional: Whether the field may be missing.
    """
    parent, _, key = name.rpartition(".")
    empty: Any = kind if kind in (list, Timestamp) else type(None)
    return field(default_factory=empty, metadata={"source": (name, parent, key, kind, nullable, optional)})


@dataclass(slots=True)
class Campaign:
    """What could be read of a campaign; a field is ``None`` or empty if its value is missing or unusable.

    Attributes:
        zone: The time zone, if ``timezone`` is the name of one.
        missing: Documented fields that are missing.
        mistyped: Documented fields whose value is not of the documented type.
        valid_fields: Documented fields with a value of the documented type (or null, if null is allowed).
    """

    id: str | None = _field("id", str)
    name: str | None = _field("name", str)
    active: bool | None = _field("active", bool)
    first_interaction: Timestamp = _field("firstInteractionAt", Timestamp, nullable=True, optional=True)
    completed: Timestamp = _field("completedAt", Timestamp, nullable=True, optional=True)
    organization_id: str | None = _field("organizationId", str)
    webhooks: list[str] = _field("webhooks", list, nullable=True)
    slack_url: str | None = _field("slackUrl", str, nullable=True)
    is_incoming: bool | None = _field("isIncoming", bool)
    variables: list[str] = _field("variables", list, nullable=True)
    pause_new_chats: bool | None = _field("pauseNewChats", bool, nullable=True, optional=True)
    incoming_phone_number: str | None = _field("incomingPhoneNumber", str, nullable=True, optional=True)
    group_id: str | None = _field("campaignGroupId", str, nullable=True, optional=True)
    group_name: str | None = _field("campaignGroupName", str, nullable=True, optional=True)
    call_params: dict[str, JsonValue] | None = _field("callParams", dict)
    phones_from: list[str] = _field("callParams.phonesFrom", list, nullable=True)
    timezone_as_sent: str | None = _field("callParams.timezone", str, nullable=True)
    days_of_week: list[str] = _field("callParams.daysOfWeek", list, nullable=True)
    language: str | None = _field("callParams.language", str, nullable=True)
    approved_countries: list[str] = _field("callParams.approvedCountries", list, nullable=True)
    timezone: str | None = None
    zone: ZoneInfo | None = None
    missing: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)
    valid_fields: set[str] = field(default_factory=set)


_SOURCES = [(each.name, *each.metadata["source"]) for each in fields(Campaign) if each.metadata]


def parse_campaign(source: Mapping[str, JsonValue], now: datetime) -> Campaign:
    """Parse the API's object as of ``now``, an aware time; never raises, whatever the object's shape."""
    campaign = Campaign()
    campaign_id = source.get("id")
    made_at = object_id_time(campaign_id, now) if isinstance(campaign_id, str) else None
    for attribute, name, parent, key, kind, nullable, optional in _SOURCES:
        members = campaign.call_params if parent else source
        if members is None or key not in members:
            if members is not None and not optional:
                campaign.missing.append(name)
        elif members[key] is None and nullable:
            campaign.valid_fields.add(key)
        else:
            usable, is_valid = _read(members[key], kind, made_at)
            setattr(campaign, attribute, usable)
            if is_valid:
                campaign.valid_fields.add(key)
            else:
                campaign.mistyped.append(name)
    campaign.timezone = sanitize(campaign.timezone_as_sent or "").strip() or None
    campaign.zone = find_zone(campaign.timezone)
    return campaign


def _read(value: Any, kind: type, made_at: datetime | None) -> tuple[Any, bool]:
    """Return what is usable of a value, and whether it has the documented type."""
    if kind is Timestamp:
        is_time = isinstance(value, str | int | float) and not isinstance(value, bool)
        timestamp = parse_time(value, made_at) if is_time else None
        # A value of the wrong type still means that the event happened; the status depends on it.
        return timestamp or Timestamp(present=bool(value)), timestamp is not None
    is_valid = isinstance(value, kind) and (not isinstance(value, list) or {*map(type, value)} <= {str})
    return (value if is_valid else [] if kind is list else None), is_valid
