"""A page of the campaigns of a list that match a search, and the cursor to the next page."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

from callers_mcp.api.client import OBJECT_ID
from callers_mcp.api.errors import InvalidArguments
from callers_mcp.campaign.listing import CampaignList, CampaignRow, to_listed_campaign
from callers_mcp.campaign.matching import MAX_SUGGESTIONS, Matches, SortKey, find_matches, fold, ranked, search, suggest
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
    in_group = [row for row in rows if criteria.group is None or _in_group(row, criteria.group)]
    total = len(in_group if is_group_id(criteria.group) else in_group or rows)
    candidates = [row for row in in_group if _matches(row, criteria)]
    if criteria.query:
        matches = find_matches(candidates, criteria.query)
    else:
        matches = ranked((SortKey(0, 0, row.id or ""), row) for row in candidates)
    if not matches and criteria.query and not start:
        # The name may be there with another status: then that is what to tell.
        suggestions = search(rows, criteria.query) or suggest(rows, criteria.query)
        listed = [
            to_listed_campaign(row) for row in suggestions[: min(MAX_SUGGESTIONS, criteria.limit or MAX_SUGGESTIONS)]
        ]
        return CampaignList(campaigns=listed, matched=0, total=total, next_cursor=None)
    begin = start.position(matches) if start else 0
    end = begin + (criteria.limit or DEFAULT_LIMIT)
    return CampaignList(
        campaigns=[to_listed_campaign(row) for _, row in matches[begin:end]],
        matched=len(matches),
        total=total,
        next_cursor=str(Cursor.after(matches[:end], query_hash)) if begin < end < len(matches) else None,
    )


def is_group_id(group: str | None) -> bool:
    """Tell whether a group is given by its id, by which the API knows it."""
    return group is not None and OBJECT_ID.fullmatch(group) is not None


def _in_group(row: CampaignRow, group: str) -> bool:
    if row.group_id and row.group_id.lower() == group.lower():
        return True
    words = fold(group).split()
    return bool(words) and all(row.folded_group.startswith(word) or f" {word}" in row.folded_group for word in words)


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
        shown_count: How many that stand there were shown: with one id it is one.
    """

    query_hash: str
    last: SortKey
    shown_count: int

    def __str__(self) -> str:
        rank, distance, last_id = self.last
        return f"{self.query_hash}.{rank}.{distance}.{self.shown_count}.{quote(last_id, safe='')}"

    @classmethod
    def after(cls, matches: Matches[CampaignRow], query_hash: str) -> "Cursor":
        """Return the cursor for what comes after ``matches``."""
        last, _ = matches[-1]
        return cls(query_hash, last, sum(key == last for key, _ in matches))

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
        return cls(query_hash, SortKey(int(parts[2]), int(parts[3]), unquote(parts[5])), int(parts[4]))

    def position(self, matches: Matches[CampaignRow]) -> int:
        """Return where to go on in ``matches``."""
        before = sum(key.sorts_before(self.last) for key, _ in matches)
        return before + min(self.shown_count, sum(key == self.last for key, _ in matches))
