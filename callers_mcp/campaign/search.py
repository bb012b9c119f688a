"""A page of the campaigns of a list that match a search, and the cursor to the next page."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

from callers_mcp.api.client import OBJECT_ID
from callers_mcp.api.errors import InvalidArguments
from callers_mcp.campaign.listing import CampaignList, CampaignRow, shown
from callers_mcp.campaign.matching import NEAREST, Found, Standing, find, fold, in_order, nearest, search
from callers_mcp.campaign.summary import CampaignStatus, Direction

DEFAULT_LIMIT = 10
"""Campaigns on a page."""


class SearchCriteria(Protocol):
    """What is searched for; ``None`` matches every campaign."""

    @property
    def query(self) -> str | None:
        """Words of the name."""

    @property
    def status(self) -> CampaignStatus | None:
        """The status."""

    @property
    def direction(self) -> Direction | None:
        """The direction."""

    @property
    def group(self) -> str | None:
        """The group's name or id."""

    @property
    def needs_attention(self) -> bool | None:
        """Whether something is wrong for certain."""

    @property
    def limit(self) -> int | None:
        """Campaigns on a page; ``None`` is ``DEFAULT_LIMIT``."""


def search_page(
    rows: Sequence[CampaignRow], criteria: SearchCriteria, query_hash: str, start: "Cursor | None"
) -> CampaignList:
    """Return the page that begins at a cursor.

    Args:
        rows: The campaigns of the list.
        criteria: What is searched for.
        query_hash: Identifies the search, see ``Cursor.parse``.
        start: Where the page begins; ``None`` is the first page.
    """
    of_group = [row for row in rows if criteria.group is None or _in_group(row, criteria.group)]
    total = len(of_group if is_group_id(criteria.group) else of_group or rows)
    fitting = [row for row in of_group if _matches(row, criteria)]
    if criteria.query:
        found = find(fitting, criteria.query)
    else:
        found = in_order((Standing(0, 0, row.id or ""), row) for row in fitting)
    if not found and criteria.query and not start:
        # The name may be there with another status: then that is what to tell.
        near = search(rows, criteria.query) or nearest(rows, criteria.query)
        offered = [shown(row) for row in near[: min(NEAREST, criteria.limit or NEAREST)]]
        return CampaignList(campaigns=offered, matched=0, total=total, next_cursor=None)
    first = start.find(found) if start else 0
    end = first + (criteria.limit or DEFAULT_LIMIT)
    return CampaignList(
        campaigns=[shown(row) for _, row in found[first:end]],
        matched=len(found),
        total=total,
        next_cursor=str(Cursor.after(found[:end], query_hash)) if first < end < len(found) else None,
    )


def is_group_id(group: str | None) -> bool:
    """Tell whether a group is given by its id, by which the API knows it."""
    return group is not None and OBJECT_ID.fullmatch(group) is not None


def _in_group(row: CampaignRow, group: str) -> bool:
    if row.group_id and row.group_id.lower() == group.lower():
        return True
    words = fold(group).split()
    return bool(words) and all(row.group.startswith(word) or f" {word}" in row.group for word in words)


def _matches(row: CampaignRow, criteria: SearchCriteria) -> bool:
    return (
        criteria.status in (None, row.status)
        and criteria.direction in (None, row.direction)
        and criteria.needs_attention in (None, row.needs_attention)
    )


_CURSOR = re.compile(r"([0-9a-f]{12})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,7})\.([0-9A-Za-z%._~-]{0,800})")


class Cursor(NamedTuple):
    """Where the next page begins: nothing is kept for it, so any process can go on.

    It says where the last campaign that was shown stands, which holds also when that one, or others, came or went.

    Attributes:
        query_hash: The hash of the search.
        last: Where the last one stands.
        shown: How many that stand there were shown: with one id it is one.
    """

    query_hash: str
    last: Standing
    shown: int

    def __str__(self) -> str:
        rank, unlike, last_id = self.last
        return f"{self.query_hash}.{rank}.{unlike}.{self.shown}.{quote(last_id, safe='')}"

    @classmethod
    def after(cls, found: Found[CampaignRow], query_hash: str) -> "Cursor":
        """Return the cursor for what comes after ``found``."""
        last, _ = found[-1]
        return cls(query_hash, last, sum(standing == last for standing, _ in found))

    @classmethod
    def parse(cls, text: str | None, query_hash: str) -> "Cursor | None":
        """Return what a caller gave.

        Raises:
            InvalidArguments: It is none of ours, or belongs to another question.
        """
        if text is None:
            return None
        parts = _CURSOR.fullmatch(text)
        if not parts:
            raise InvalidArguments(
                "cursor is none that find_campaigns gave: pass next_cursor as it is, or leave it out to begin anew."
            )
        if parts[1] != query_hash:
            raise InvalidArguments(
                "cursor belongs to other arguments: repeat the others exactly as in the call that gave it, or leave it "
                "out to begin anew."
            )
        return cls(query_hash, Standing(int(parts[2]), int(parts[3]), unquote(parts[5])), int(parts[4]))

    def find(self, found: Found[CampaignRow]) -> int:
        """Return where to go on in ``found``."""
        before = sum(standing.comes_before(self.last) for standing, _ in found)
        return before + min(self.shown, sum(standing == self.last for standing, _ in found))
