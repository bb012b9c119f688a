"""Tolerant parsing of the API's campaign object: read what is usable, and name what is not.

Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id (``CampaignPublicDto``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from callers_mcp.sanitize import sanitize


@dataclass(slots=True)
class Timestamp:
    """A time as the API sent it.

    Attributes:
        present: Whether there is a value at all, readable or not.
        at: The time in UTC, or ``None`` if it can't be read.
    """

    present: bool = False
    at: datetime | None = None


@dataclass(slots=True)
class Campaign:
    """What could be read of a campaign; a field is ``None`` or empty if its value is missing or unusable.

    Attributes:
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

    def _value(self, name: str, kind: type, optional: bool, nullable: bool) -> JsonValue:
        if name not in self._source:
            if not optional:
                self._campaign.missing.append(self._prefix + name)
            return None
        value = self._source[name]
        if (value is None and not nullable) or (value is not None and not isinstance(value, kind)):
            self._campaign.mistyped.append(self._prefix + name)
            return None
        self._campaign.valid_fields.add(name)
        return value

    def text(self, name: str, *, optional: bool = False, nullable: bool = False) -> str | None:
        value = self._value(name, str, optional, nullable)
        return value if isinstance(value, str) else None

    def boolean(self, name: str, *, optional: bool = False, nullable: bool = False) -> bool | None:
        value = self._value(name, bool, optional, nullable)
        return value if isinstance(value, bool) else None

    def texts(self, name: str) -> list[str]:
        value = self._value(name, list, False, True)
        if not isinstance(value, list):
            return []
        texts = [member for member in value if isinstance(member, str)]
        if len(texts) == len(value):
            return texts
        self._campaign.mistyped.append(self._prefix + name)
        self._campaign.valid_fields.discard(name)
        return []

    def timestamp(self, name: str) -> Timestamp:
        # A value of the wrong type still means that the event happened; the status depends on it.
        value = self._source.get(name)
        text = self.text(name, optional=True, nullable=True)
        if text is not None:
            return Timestamp(present=bool(text.strip()), at=_parse_time(text.strip()))
        return Timestamp(present=bool(value))

    def mapping(self, name: str) -> Mapping[str, JsonValue] | None:
        value = self._value(name, dict, False, False)
        return value if isinstance(value, dict) else None


def parse_campaign(source: Mapping[str, JsonValue]) -> Campaign:
    """Parse the API's object; never raises, whatever its shape."""
    campaign = Campaign()
    reader = _Reader(campaign, source)
    campaign.id = reader.text("id")
    campaign.name = reader.text("name")
    campaign.active = reader.boolean("active")
    campaign.first_interaction = reader.timestamp("firstInteractionAt")
    campaign.completed = reader.timestamp("completedAt")
    campaign.organization_id = reader.text("organizationId")
    campaign.webhooks = reader.texts("webhooks")
    campaign.slack_url = reader.text("slackUrl", nullable=True)
    campaign.is_incoming = reader.boolean("isIncoming")
    campaign.variables = reader.texts("variables")
    campaign.pause_new_chats = reader.boolean("pauseNewChats", optional=True, nullable=True)
    campaign.incoming_phone_number = reader.text("incomingPhoneNumber", optional=True, nullable=True)
    campaign.group_id = reader.text("campaignGroupId", optional=True, nullable=True)
    campaign.group_name = reader.text("campaignGroupName", optional=True, nullable=True)
    campaign.variable_count = len(campaign.variables) if "variables" in campaign.valid_fields else None
    call_params = reader.mapping("callParams")
    if call_params is not None:
        reader = _Reader(campaign, call_params, "callParams.")
        campaign.phones_from = reader.texts("phonesFrom")
        campaign.timezone = sanitize(reader.text("timezone", nullable=True) or "").strip() or None
        campaign.days_of_week = reader.texts("daysOfWeek")
        campaign.language = reader.text("language", nullable=True)
        campaign.approved_countries = reader.texts("approvedCountries")
    return campaign


def _parse_time(text: str) -> datetime | None:
    """Parse an ISO 8601 time and convert it to UTC; a time without an offset is taken as UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
