"""A campaign as a row of a list: what is stored, what is shown, and the table that a model reads."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, Field, JsonValue

from callers_mcp.campaign.matching import MAX_FOLD_INPUT_CHARACTERS, fold
from callers_mcp.campaign.model import parse_campaign
from callers_mcp.campaign.problems import find_problems
from callers_mcp.campaign.summary import CampaignStatus, Direction, direction_of, status_of
from callers_mcp.sanitize import plain_or_quoted, quote, sanitize, truncate

_MAX_STORED_NAME_CHARACTERS = 120
_MAX_ID_CHARACTERS = 40
_MAX_NAME_CHARACTERS = 80  # of a shown name
_MAX_GROUP_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """What is stored of a campaign in a list.

    Attributes:
        name: Sanitized, and truncated to the length that a search can use.
        folded_name: The name in the form that is compared, see ``fold``.
        folded_group: The group's name in that form.
        needs_attention: Whether something was certainly wrong at the time of reading.
    """

    id: str | None
    name: str | None
    folded_name: str
    status: CampaignStatus
    direction: Direction | None
    group_id: str | None
    group_name: str | None
    folded_group: str
    needs_attention: bool

    @property
    def size(self) -> int:
        """Approximate size in memory, in bytes."""
        texts = (self.id, self.name, self.folded_name, self.group_id, self.group_name, self.folded_group)
        return 160 + sum(map(sys.getsizeof, texts))


def parse_row(raw: Mapping[str, JsonValue], now: datetime | None = None) -> CampaignRow:
    """Parse a campaign of a list as of ``now``, by default the present; never raises, whatever its shape."""
    now = now or datetime.now(UTC)
    campaign = parse_campaign(raw, now)
    name = _sanitized(campaign.name, _MAX_STORED_NAME_CHARACTERS)
    group_name = _sanitized(campaign.group_name, _MAX_STORED_NAME_CHARACTERS)
    return CampaignRow(
        id=_sanitized(campaign.id, _MAX_ID_CHARACTERS),
        name=name,
        folded_name=fold(_sanitized(campaign.name, MAX_FOLD_INPUT_CHARACTERS) or ""),
        status=status_of(campaign),
        direction=direction_of(campaign),
        group_id=_sanitized(campaign.group_id, _MAX_ID_CHARACTERS),
        group_name=group_name,
        folded_group=fold(_sanitized(campaign.group_name, MAX_FOLD_INPUT_CHARACTERS) or ""),
        needs_attention=bool(find_problems(campaign, campaign.id or "", now)),
    )


class ListedCampaign(BaseModel):
    """A row as it is shown; a field is null if the campaign has no value for it."""

    id: str | None
    name: str | None
    status: CampaignStatus
    direction: Direction | None
    group: str | None
    needs_attention: bool


class CampaignList(BaseModel):
    """A page of campaigns."""

    campaigns: list[ListedCampaign]
    matched: int = Field(description="0: the campaigns are what comes nearest")
    total: int
    next_cursor: str | None
    is_whole: bool = Field(default=True, description="false: the API has more than total")
    notes: list[str] = Field(default=[], description="how arguments were read, and what they left out")


def to_listed_campaign(row: CampaignRow) -> ListedCampaign:
    """Return what is shown of a row. Its length is bounded, whatever the campaign contains."""
    return ListedCampaign.model_construct(
        id=row.id,
        name=_sanitized(row.name, _MAX_NAME_CHARACTERS),
        status=row.status,
        direction=row.direction,
        group=_sanitized(row.group_name or row.group_id, _MAX_GROUP_CHARACTERS),
        needs_attention=row.needs_attention,
    )


def label(row: CampaignRow) -> str:
    """Return a campaign's id for programs with its name for people: ``id Name``.

    The id is first, as some hosts keep only the first word.
    """
    name = _sanitized(row.name, _MAX_NAME_CHARACTERS)
    return f"{row.id} {name}" if name else str(row.id)


def choice_line(row: CampaignRow) -> str:
    """Return a campaign as one line of a list of choices."""
    name = f"{quote(row.name, _MAX_NAME_CHARACTERS)} " if row.name else ""
    words = [row.status.replace("_", " "), *([row.direction] if row.direction else [])]
    return f"{name}({plain_or_quoted(row.id or '')}), {', '.join(words)}"


def list_text(page: CampaignList) -> str:
    """Return the page as text: the counts, one line per campaign, and how to continue."""
    return "\n".join(_lines(page))


def _lines(page: CampaignList) -> Iterator[str]:
    shown, campaigns = page.campaigns, f"{page.total:,} campaign{'s' if page.total != 1 else ''}"
    not_whole, none = "", f"None of {campaigns} matches"
    if not page.is_whole:
        not_whole, campaigns = "The list is not whole: the API has more campaigns. ", f"the first {campaigns}"
        none = f"No match among {campaigns}"
    if page.matched:
        match = "matches" if page.matched == 1 else "match"
        counts = [f"{not_whole}{page.matched:,} of {campaigns} {match}; {len(shown)} shown.", *page.notes]
    else:
        counts = [f"{not_whole}{none}.", *page.notes, *(["What comes nearest:"] if shown else [])]
    yield " ".join(counts)
    if shown:
        yield "id | name | status | direction | group | ! needs attention"
        yield from (" | ".join(_cells(campaign)) for campaign in shown)
        yield "For details call get_campaign with an id, and the same sub_organization_id if one was given."
    if page.next_cursor:
        yield f'For more call again with the same arguments and {{"cursor": "{page.next_cursor}"}}'


def _cells(campaign: ListedCampaign) -> Sequence[str]:
    return (
        plain_or_quoted(campaign.id) if campaign.id else "-",
        quote(campaign.name, _MAX_NAME_CHARACTERS) if campaign.name else "-",
        campaign.status.replace("_", " "),
        campaign.direction or "-",
        quote(campaign.group, _MAX_GROUP_CHARACTERS) if campaign.group else "-",
        *(["!"] if campaign.needs_attention else []),
    )


def _sanitized(text: str | None, limit: int) -> str | None:
    if text is None or not (sanitized := truncate(sanitize(text).strip(), limit)).strip():
        return None
    return sanitized
