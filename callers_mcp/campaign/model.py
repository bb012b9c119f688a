"""Tolerant parsing of the API's campaign object: read what is usable, and name what is not.

Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id (``CampaignPublicDto``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from callers_mcp.campaign.times import Timestamp, object_id_time, parse_time
from callers_mcp.campaign.zones import find_zone
from callers_mcp.sanitize import sanitize

ValueT = TypeVar("ValueT")


@dataclass(slots=True)
class Campaign:
    """What could be read of a campaign; a field is ``None`` or empty if its value is missing or unusable.

    Attributes:
        zone: The time zone, if ``timezone`` is the name of one.
        missing: Documented fields that are missing.
        mistyped: Documented fields whose value is not of the documented type.
        valid_fields: Documented fields with a value of the documented type (or null, if null is allowed).
    """

    id: str | None = None
    name: str | None = None
    active: bool | None = None
    first_interaction: Timestamp = field(default_factory=Timestamp)
    completed: Timestamp = field(default_factory=Timestamp)
    phones_from: list[str] = field(default_factory=list)
    timezone: str | None = None
    timezone_as_sent: str | None = None
    zone: ZoneInfo | None = None
    days_of_week: list[str] = field(default_factory=list)
    language: str | None = None
    approved_countries: list[str] = field(default_factory=list)
    organization_id: str | None = None
    webhooks: list[str] = field(default_factory=list)
    slack_url: str | None = None
    is_incoming: bool | None = None
    variables: list[str] = field(default_factory=list)
    variable_count: int | None = None
    pause_new_chats: bool | None = None
    incoming_phone_number: str | None = None
    group_id: str | None = None
    group_name: str | None = None
    missing: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)
    valid_fields: set[str] = field(default_factory=set)


class _Reader:
    """Reads the fields of one object by name and type, and records which are missing, null or of the wrong type."""

    def __init__(self, campaign: Campaign, source: Mapping[str, JsonValue], prefix: str = "") -> None:
        self._campaign = campaign
        self._source = source
        self._prefix = prefix

    def value(self, name: str, kind: type[ValueT], *, optional: bool = False, nullable: bool = False) -> ValueT | None:
        if name not in self._source:
            if not optional:
                self._campaign.missing.append(self._prefix + name)
            return None
        value = self._source[name]
        if isinstance(value, kind) or (value is None and nullable):
            self._campaign.valid_fields.add(name)
            return value
        self._campaign.mistyped.append(self._prefix + name)
        return None

    def texts(self, name: str) -> list[str]:
        value = self.value(name, list, nullable=True) or []
        if {*map(type, value)} <= {str}:
            return value
        self._campaign.mistyped.append(self._prefix + name)
        self._campaign.valid_fields.discard(name)
        return []

    def timestamp(self, name: str, made_at: datetime | None) -> Timestamp:
        value = self._source.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            timestamp = parse_time(value, made_at)
            if timestamp:
                self._campaign.valid_fields.add(name)
                return timestamp
        # A value of the wrong type still means that the event happened; the status depends on it.
        self.value(name, str, optional=True, nullable=True)
        return Timestamp(present=bool(value))


def parse_campaign(source: Mapping[str, JsonValue], now: datetime) -> Campaign:
    """Parse the API's object as of ``now``, an aware time; never raises, whatever the object's shape."""
    campaign = Campaign()
    reader = _Reader(campaign, source)
    campaign.id = reader.value("id", str)
    campaign.name = reader.value("name", str)
    campaign.active = reader.value("active", bool)
    made_at = object_id_time(campaign.id or "", now)
    campaign.first_interaction = reader.timestamp("firstInteractionAt", made_at)
    campaign.completed = reader.timestamp("completedAt", made_at)
    campaign.organization_id = reader.value("organizationId", str)
    campaign.webhooks = reader.texts("webhooks")
    campaign.slack_url = reader.value("slackUrl", str, nullable=True)
    campaign.is_incoming = reader.value("isIncoming", bool)
    campaign.variables = reader.texts("variables")
    campaign.pause_new_chats = reader.value("pauseNewChats", bool, optional=True, nullable=True)
    campaign.incoming_phone_number = reader.value("incomingPhoneNumber", str, optional=True, nullable=True)
    campaign.group_id = reader.value("campaignGroupId", str, optional=True, nullable=True)
    campaign.group_name = reader.value("campaignGroupName", str, optional=True, nullable=True)
    campaign.variable_count = len(campaign.variables) if "variables" in campaign.valid_fields else None
    call_params = reader.value("callParams", dict)
    if call_params is not None:
        reader = _Reader(campaign, call_params, "callParams.")
        campaign.phones_from = reader.texts("phonesFrom")
        campaign.timezone_as_sent = reader.value("timezone", str, nullable=True)
        campaign.timezone = sanitize(campaign.timezone_as_sent or "").strip() or None
        campaign.zone = find_zone(campaign.timezone)
        campaign.days_of_week = reader.texts("daysOfWeek")
        campaign.language = reader.value("language", str, nullable=True)
        campaign.approved_countries = reader.texts("approvedCountries")
    return campaign
