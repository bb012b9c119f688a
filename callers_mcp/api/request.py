"""A request to the API, and its headers."""

import re
from dataclasses import dataclass, field
from typing import TypeGuard

from callers_mcp.access import blank_to_none, describe_organization
from callers_mcp.api.errors import Advice
from callers_mcp.sanitize import quote

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")

CAMPAIGN_ID_HELP = Advice(
    "24 hexadecimal digits, such as 665f1c2ab1e4a9d0c7f3b812; ask the user for the id",
    "24 hexadecimal digits, such as 665f1c2ab1e4a9d0c7f3b812",
)
"""What an argument that names a campaign takes."""

_LIKE_AN_ID = re.compile(r"[0-9a-fA-F]{8}|^[0-9a-fA-F]+$")


def campaign_id_help(given: str | None, *, can_list: bool) -> Advice:
    """Return what an argument that names a campaign takes, and how the caller gets it.

    Args:
        given: What was passed, without the key; if it looks like a name, the advice repeats it. ``None`` if it is not
            a text.
        can_list: Whether the caller can find campaigns by name.
    """
    given = blank_to_none(given)
    is_name = given is not None and any(map(str.isalpha, given)) and not _LIKE_AN_ID.search(given)
    name = quote(given, 60) if given and is_name else ""
    if can_list and name:
        # An order with the argument: a small model makes this call, and only writes about a hint.
        how = f". Call find_campaigns with query {name} to get the id"
    elif can_list:
        how = "; find it with find_campaigns, never guess it"
    elif name:
        how = f"; ask the user for the id of {name}"
    else:
        return CAMPAIGN_ID_HELP
    return Advice(f"24 hexadecimal digits{how}", CAMPAIGN_ID_HELP.for_person)


def is_object_id(text: str | None) -> TypeGuard[str]:
    """Return whether ``text`` is an ObjectId, as the ids of campaigns and their groups are."""
    return text is not None and OBJECT_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class CampaignRequest:
    """A request for a campaign, or for a list of campaigns. Its ids were checked before it is made.

    Attributes:
        campaign_id: The campaign's id; ``None`` requests the list of campaigns.
        sub_organization_id: The sub-organization's id; ``None`` is the main organization.
        key: The API key.
        key_variable: The environment variable that the key comes from.
        group_id: For a list: only the campaigns of this group.
    """

    campaign_id: str | None
    sub_organization_id: str | None
    key: str = field(repr=False)
    key_variable: str
    group_id: str | None = None

    @property
    def location(self) -> str:
        """The organization, for messages."""
        return describe_organization(self.sub_organization_id)

    def headers(self, request_id: str) -> dict[str, str]:
        """Return the headers with the key, the request's id and the sub-organization."""
        headers = {"Authorization": self.key, "X-Request-Id": request_id}
        if self.sub_organization_id is not None:
            headers["x-sub-organization-id"] = self.sub_organization_id
        return headers
