"""Search a list of campaigns: a page of the matches, and the cursor of the next page."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

from callers_mcp.api.errors import InvalidArguments
from callers_mcp.api.lists import Rows
from callers_mcp.api.request import is_object_id
from callers_mcp.campaign.listing import CampaignList, CampaignRow, to_listed_campaign
from callers_mcp.campaign.matching import MAX_SUGGESTIONS, Matches, NameSearch, SortKey, fold, ranked
from callers_mcp.campaign.summary import CampaignStatus, Direction

DEFAULT_LIMIT = 10
"""Campaigns on a page."""


class SearchCriteria(Protocol):
    """The criteria of a search; ``None`` matches every campaign.

    Attributes:
        query: Words of the campaign's name.
        status: The campaign's status.
        direction: The campaign's direction.
        group: The group's name or id.
        needs_attention: Whether something is certainly wrong.
        limit: Campaigns on a page; ``None`` is ``DEFAULT_LIMIT``.
    """

    query: str | None
    status: CampaignStatus | None
    direction: Direction | None
    group: str | None
    needs_attention: bool | None
    limit: int | None


def search_page(
    rows: Rows[CampaignRow], criteria: SearchCriteria, query_hash: str, start: "Cursor | None"
) -> CampaignList:
    """Return the page that begins at a cursor.

    Args:
        rows: The campaigns of the list.
        criteria: What to search for.
        query_hash: Identifies the search, see ``Cursor.parse``.
        start: Where the page begins; ``None`` for the first page.
    """
    group, words = criteria.group, fold(criteria.group or "").split()
    in_group = [row for row in rows if group is None or _in_group(row, group.lower(), words)]
    total = len(in_group if is_object_id(group) else in_group or rows)
    candidates = {id(row): row for row in in_group if _matches(row, criteria)}
    search = NameSearch(rows, criteria.query) if criteria.query else None
    if search:
        matches = search.matches(lambda row: id(row) in candidates)
    else:
        matches = ranked((SortKey(0, 0, row.id or ""), row) for row in candidates.values())
    if search and not matches and not start:
        # A campaign with this name may exist with another status: then suggest it.
        others = search.matches() if len(candidates) < len(rows) else []
        suggestions = [row for _, row in others] or search.suggestions()
        listed = [
            to_listed_campaign(row) for row in suggestions[: min(MAX_SUGGESTIONS, criteria.limit or MAX_SUGGESTIONS)]
        ]
        return CampaignList(campaigns=listed, matched=0, total=total, next_cursor=None, is_whole=rows.is_whole)
    begin = start.position(matches) if start else 0
    end = begin + (criteria.limit or DEFAULT_LIMIT)
    return CampaignList(
        campaigns=[to_listed_campaign(row) for _, row in matches[begin:end]],
        matched=len(matches),
        total=total,
        next_cursor=str(Cursor.after(matches[:end], query_hash)) if begin < end < len(matches) else None,
        is_whole=rows.is_whole,
    )


def _in_group(row: CampaignRow, group: str, words: Sequence[str]) -> bool:
    if row.group_id and row.group_id.lower() == group:
        return True
    return bool(words) and all(row.folded_group.startswith(word) or f" {word}" in row.folded_group for word in words)


def _matches(row: CampaignRow, criteria: SearchCriteria) -> bool:
    return (
        criteria.status in (None, row.status)
        and criteria.direction in (None, row.direction)
        and criteria.needs_attention in (None, row.needs_attention)
    )


_CURSOR = re.compile(r"([0-9a-f]{12})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,7})\.([0-9A-Za-z%._~-]{0,800})")


class Cursor(NamedTuple):
    """The position where the next page begins. It needs no server-side state, so any process can continue.

    It contains the sort key of the last campaign shown. It stays valid if campaigns are added or removed.

    Attributes:
        query_hash: The hash of the search.
        last: The sort key of the last campaign shown.
        shown_count: How many campaigns with this key were shown; one, if ids are unique.
    """

    query_hash: str
    last: SortKey
    shown_count: int

    def __str__(self) -> str:
        rank, distance, last_id = self.last
        return f"{self.query_hash}.{rank}.{distance}.{self.shown_count}.{quote(last_id, safe='')}"

    @classmethod
    def after(cls, matches: Matches[CampaignRow], query_hash: str) -> "Cursor":
        """Return the cursor of the page that follows ``matches``."""
        last, _ = matches[-1]
        return cls(query_hash, last, sum(key == last for key, _ in matches))

    @classmethod
    def parse(cls, text: str | None, query_hash: str) -> "Cursor | None":
        """Parse a cursor that a call passes.

        Raises:
            InvalidArguments: It is not a cursor, or it belongs to another search.
        """
        if text is None:
            return None
        parts = _CURSOR.fullmatch(text)
        if not parts:
            raise InvalidArguments(
                "Invalid cursor: pass next_cursor exactly as find_campaigns returned it, or leave it out for the first "
                "page."
            )
        if parts[1] != query_hash:
            raise InvalidArguments(
                "cursor belongs to other arguments: repeat the arguments of the call that returned it exactly, or "
                "leave it out for the first page."
            )
        return cls(query_hash, SortKey(int(parts[2]), int(parts[3]), unquote(parts[5])), int(parts[4]))

    def position(self, matches: Matches[CampaignRow]) -> int:
        """Return the index in ``matches`` where the page begins."""
        before = sum(key.sorts_before(self.last) for key, _ in matches)
        return before + min(self.shown_count, sum(key == self.last for key, _ in matches))
