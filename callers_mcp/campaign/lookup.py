"""Look a campaign up and report on it: what the tool, the resources, the prompts and the command line share."""

from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, internal_error
from callers_mcp.api.json_reader import Document, stop_if_cancelled
from callers_mcp.api.request import CampaignRequest
from callers_mcp.campaign import text
from callers_mcp.campaign.summary import CampaignSummary, summarize
from callers_mcp.campaign.urls import REDACTION_NOTE, redact_urls
from callers_mcp.settings import Settings


class CampaignReport(BaseModel):
    """The summary, and the campaign's JSON object as the API sent it."""

    summary: CampaignSummary
    raw: dict[str, Any]

    def summary_text(self) -> str:
        """Return the summary as text; it is complete without the raw JSON."""
        return self._texts[0]

    def raw_text(self) -> str:
        """Return the raw object as JSON."""
        return self._texts[1]

    def structured(self) -> dict[str, Any]:
        """Return the report as plain objects; ``raw`` is not copied, so do not change it."""
        return {"summary": self.summary.model_dump(), "raw": self.raw}

    @cached_property
    def _texts(self) -> tuple[str, str]:
        return text.summary_text(self.summary), text.raw_text(self.raw)


async def look_up(client: CallersClient, campaign_id: str, sub_organization_id: str | None = None) -> CampaignReport:
    """Fetch a campaign and summarize it.

    Args:
        client: The client, on behalf of the caller.
        campaign_id: The id as the caller wrote it.
        sub_organization_id: An id or ``main`` as the caller wrote it; blank or ``None`` is the default organization.

    Raises:
        CallersError: See ``callers_mcp.api.errors``. An unexpected exception is logged, then ``InternalError``.
    """
    try:
        return await client.report_on_campaign(campaign_id.strip(), _report, sub_organization_id=sub_organization_id)
    except CallersError:
        raise
    except Exception:
        raise internal_error("get_campaign") from None


def _report(document: Document, request: CampaignRequest, settings: Settings) -> CampaignReport:
    raw, notes = document.content, document.notes
    if settings.redact_urls:
        raw, redacted = redact_urls(raw)
        notes = (*notes, REDACTION_NOTE) if redacted else notes
    stop_if_cancelled()
    summary = summarize(
        document.content,
        requested_id=request.campaign_id or "",
        sub_organization_id=request.sub_organization_id,
        now=datetime.now(UTC),
        notes=notes,
    )
    stop_if_cancelled()
    report = CampaignReport.model_construct(summary=summary, raw=raw)
    report.raw_text()  # now, as this may be a thread
    return report
