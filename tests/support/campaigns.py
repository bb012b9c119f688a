"""A healthy campaign as in the API's reference, and functions that change it.

Use it in every test that needs a campaign.
"""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from callers_mcp.campaign.summary import summarize
from callers_mcp.campaign.text import summary_text
from callers_mcp.server.tools import load_tools
from tests.support.constants import ID

Json = dict[str, Any]

NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)
"""A Thursday; noon in London."""


_HEALTHY: Json = {
    "id": ID,
    "name": "Spring renewals",
    "active": True,
    "firstInteractionAt": "2026-11-02T09:30:00.000Z",
    "completedAt": None,
    "callParams": {
        "phonesFrom": ["+442071838750"],
        "timezone": "Europe/London",
        "daysOfWeek": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
        "language": "en-GB",
        "approvedCountries": ["GB"],
    },
    "organizationId": "65aa0011223344556677889a",
    "webhooks": ["https://hooks.example.com/callers"],
    "slackUrl": None,
    "isIncoming": False,
    "variables": ["firstName", "renewalDate"],
    "pauseNewChats": False,
    "incomingPhoneNumber": None,
    "campaignGroupId": "65bb0011223344556677889a",
    "campaignGroupName": "Renewals",
}

FIELDS: Sequence[str] = [
    *(name for name in _HEALTHY if name != "callParams"),
    "callParams",
    *(f"callParams.{name}" for name in _HEALTHY["callParams"]),
]
"""The path of every documented field."""

STRING_FIELDS: Sequence[str] = [
    path for path in FIELDS if path not in ("active", "isIncoming", "pauseNewChats", "callParams")
]
"""The path of every documented field that is a string or a list of strings."""

LISTS = ("webhooks", "variables", "callParams.phonesFrom", "callParams.daysOfWeek", "callParams.approvedCountries")

MAY_BE_MISSING = (
    "firstInteractionAt",
    "completedAt",
    "pauseNewChats",
    "incomingPhoneNumber",
    "campaignGroupId",
    "campaignGroupName",
)
REQUIRED = [path for path in FIELDS if path not in MAY_BE_MISSING]
MAY_BE_NULL = (
    *MAY_BE_MISSING,
    "slackUrl",
    "webhooks",
    "variables",
    *(path for path in FIELDS if path.startswith("callParams.")),
)
NEVER_NULL = [path for path in FIELDS if path not in MAY_BE_NULL]


def campaign(**values: Any) -> Json:
    """Return a healthy campaign with these values; ``callParams`` is merged."""
    changed = copy.deepcopy(_HEALTHY)
    call_params = values.pop("callParams", {})
    changed.update(values)
    changed["callParams"].update(call_params)
    return changed


def inbound(**values: Any) -> Json:
    """Return a healthy inbound campaign, which needs neither numbers to call from nor countries."""
    return campaign(
        **{
            "isIncoming": True,
            "incomingPhoneNumber": "+442071838751",
            "callParams": {"phonesFrom": None, "approvedCountries": None, "daysOfWeek": None},
        }
        | values
    )


def replaced(path: str, value: Any, source: Json | None = None) -> Json:
    """Return a campaign with ``value`` at ``path``, for example ``callParams.timezone``."""
    changed = copy.deepcopy(source) if source is not None else campaign()
    *parents, name = path.split(".")
    container = changed
    for parent in parents:
        container = container[parent]
    container[name] = value
    return changed


def without(*paths: str, source: Json | None = None) -> Json:
    """Return a campaign without the fields at ``paths``."""
    changed = copy.deepcopy(source) if source is not None else campaign()
    for path in paths:
        *parents, name = path.split(".")
        container = changed
        for parent in parents:
            container = container[parent]
        del container[name]
    return changed


def with_text(path: str, text: str) -> Json:
    """Return a campaign with ``text`` in the field at ``path``, which is a string or a list of strings."""
    return replaced(path, [text] if path in LISTS else text)


def summary_of(
    raw: Json, *, asked_for: str = ID, place: str | None = None, now: datetime = NOW, changes: Sequence[str] = ()
) -> Json:
    """Return the structured summary of a campaign."""
    return summarize(raw, requested_id=asked_for, sub_organization_id=place, now=now, notes=changes).model_dump()


def text_of(raw: Json, *, place: str | None = None, changes: Sequence[str] = ()) -> str:
    """Return the text of the summary, as the model reads it."""
    return summary_text(summarize(raw, requested_id=ID, sub_organization_id=place, now=NOW, notes=changes))


def wire_definition(name: str = "get_campaign", *, with_lists: bool = False) -> Json:
    """Return the definition of a tool, as in the result of ``tools/list``.

    ``with_lists`` selects the definition of ``get_campaign`` for a caller who can list campaigns.
    """
    tools = load_tools(with_lists=with_lists or name != "get_campaign")
    (tool,) = (tool for tool in tools if tool.name == name)
    return tool.definition().model_dump(mode="json", by_alias=True, exclude_none=True)
