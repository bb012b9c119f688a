"""A request to the API, and its headers."""

import re
from dataclasses import dataclass, field
from typing import TypeGuard

from callers_mcp.access import describe_organization
from callers_mcp.api.errors import Advice

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")

CAMPAIGN_ID_HELP = Advice(
    "24 hexadecimal digits, such as 665f1c2ab1e4a9d0c7f3b812; ask the user for the id",
    "24 hexadecimal digits, such as 665f1c2ab1e4a9d0c7f3b812",
)
"""What an argument that names a campaign takes."""


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
