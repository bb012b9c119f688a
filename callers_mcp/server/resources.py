"""Resources: campaigns, which users attach to a chat, and the card, which hosts show with a look-up."""

import re
from typing import Any
from urllib.parse import quote, unquote

from mcp_types import Resource, ResourceTemplate

from callers_mcp.access import blank_to_none
from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CampaignNotFound
from callers_mcp.campaign.lookup import look_up
from callers_mcp.server.card import CARD_MIME_TYPE, CARD_URI

CAMPAIGN_MIME_TYPE = "application/json"

# What the host's frame allows the card: no network, but the clipboard for its copy buttons.
_CARD_META = {
    "ui": {
        "csp": {"connectDomains": [], "resourceDomains": []},
        "permissions": {"clipboardWrite": {}},
        "prefersBorder": True,
    },
}

RESOURCES = [
    Resource(
        uri=CARD_URI,
        name="campaign-card",
        title="Campaign card",
        description="The page on which a host shows an answer of get_campaign to people.",
        mime_type=CARD_MIME_TYPE,
        _meta=_CARD_META,
    )
]

TEMPLATES = [
    ResourceTemplate(
        uri_template="callers://campaigns/{campaign_id}",
        name="campaign",
        title="Campaign",
        description="A calling campaign's raw JSON, as the Callers API has it.",
        mime_type=CAMPAIGN_MIME_TYPE,
    ),
    ResourceTemplate(
        uri_template="callers://sub-organizations/{sub_organization_id}/campaigns/{campaign_id}",
        name="sub-organization-campaign",
        title="Campaign of a sub-organization",
        description="The raw JSON of a sub-organization's calling campaign.",
        mime_type=CAMPAIGN_MIME_TYPE,
    ),
]

_campaign = re.compile(r"callers://(?:sub-organizations/([^/?#\s]+)/)?campaigns/([^/?#\s]+)", re.IGNORECASE)


def campaign_uri(campaign_id: str, sub_organization_id: str | None) -> str:
    """Return the URI of a campaign in the sub-organization, or in the default organization if it is ``None``."""
    prefix = f"sub-organizations/{quote(sub_organization_id, safe='')}/" if sub_organization_id else ""
    return f"callers://{prefix}campaigns/{campaign_id}"


async def read_resource(uri: str, client: CallersClient) -> dict[str, Any]:
    """Return the result of ``resources/read``: the card, which hosts may cache, or a campaign, which they may not.

    Raises:
        CampaignNotFound: No resource has this URI.
        CallersError: As for the tool ``get_campaign``.
    """
    if uri == CARD_URI:
        from callers_mcp.server.card import card_html

        card = {"uri": uri, "mimeType": CARD_MIME_TYPE, "text": card_html(), "_meta": _CARD_META}
        return {"contents": [card], "ttlMs": 3_600_000, "cacheScope": "public"}
    match = _campaign.fullmatch(uri)
    sub_organization_id, campaign_id = (
        (unquote(part) if part else None for part in match.groups()) if match else (None, None)
    )
    # A blank sub-organization would mean the default organization.
    if not match or (sub_organization_id is not None and blank_to_none(sub_organization_id) is None):
        raise CampaignNotFound(
            f"There is no such resource. A campaign's URI is like {TEMPLATES[0].uri_template}, or "
            f"{TEMPLATES[1].uri_template}."
        )
    report = await look_up(client, campaign_id or "", sub_organization_id)
    campaign = {"uri": uri, "mimeType": CAMPAIGN_MIME_TYPE, "text": report.raw_text()}
    return {"contents": [campaign], "ttlMs": 0, "cacheScope": "private"}
