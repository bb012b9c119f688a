"""Search a list of campaigns: a page of the matches, and the cursor of the next page."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol
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
        status: The campaign's status; ``paused`` is read as ``new_chats_paused``.
        direction: The campaign's direction; ``unknown`` if it has none.
        group: The group's name or id.
        needs_attention: Whether something is certainly wrong.
        limit: Campaigns on a page; ``None`` is ``DEFAULT_LIMIT``.
    """

    query: str | None
    status: CampaignStatus | Literal["paused"] | None
    direction: Direction | Literal["unknown"] | None
    group: str | None
    needs_attention: bool | None
    limit: int | None


def wanted_status(criteria: SearchCriteria) -> CampaignStatus | None:
    """Return the status that a campaign must have."""
    return "new_chats_paused" if criteria.status == "paused" else criteria.status


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
    search = NameSearch(rows, criteria.query) if criteria.query else None
    accepted = _accepted_ids(rows, criteria)
    candidates = _common(rows, accepted.values())
    if search:
        matches = search.matches(lambda row: id(row) in candidates)
    else:
        matches = ranked((SortKey(0, 0, row.id or ""), row) for row in rows if id(row) in candidates)
    begin = start.position(matches) if start else 0
    end = begin + (criteria.limit or DEFAULT_LIMIT)
    shown = [row for _, row in matches[begin:end]]
    notes: Sequence[str] = ()
    if not matches or criteria.needs_attention is False or criteria.status == "paused":
        named = [row for _, row in (search.matches() if accepted else matches)] if search else rows
        if search and not matches and not start:
            # A campaign with this name may exist with another status: then suggest it.
            shown = (named or search.suggestions())[: min(MAX_SUGGESTIONS, criteria.limit or MAX_SUGGESTIONS)]
        if accepted or not shown:
            notes = [*_notes(rows, named, criteria, accepted, len(matches))]
    in_group = accepted.get("group", set())
    return CampaignList(
        campaigns=[to_listed_campaign(row) for row in shown],
        matched=len(matches),
        total=len(in_group if is_object_id(criteria.group) else in_group or rows),
        next_cursor=str(Cursor.after(matches[:end], query_hash)) if begin < end < len(matches) else None,
        is_whole=rows.is_whole,
        notes=[*notes],
    )


def _accepted_ids(rows: Sequence[CampaignRow], criteria: SearchCriteria) -> dict[str, set[int]]:
    """Return for each argument that was given, other than ``query``, the rows that it accepts, by ``id()``."""
    group, words = (criteria.group or "").lower(), fold(criteria.group or "").split()
    status = wanted_status(criteria)
    filters: dict[str, Callable[[CampaignRow], bool]] = {
        "status": lambda row: row.status == status,
        "direction": lambda row: (row.direction or "unknown") == criteria.direction,
        "group": lambda row: _in_group(row, group, words),
        "needs_attention": lambda row: row.needs_attention == criteria.needs_attention,
    }
    given = {name: accepts for name, accepts in filters.items() if getattr(criteria, name) is not None}
    return {name: {id(row) for row in rows if accepts(row)} for name, accepts in given.items()}


def _in_group(row: CampaignRow, group: str, words: Sequence[str]) -> bool:
    if row.group_id and row.group_id.lower() == group:
        return True
    return bool(words) and all(row.folded_group.startswith(word) or f" {word}" in row.folded_group for word in words)


def _common(rows: Sequence[CampaignRow], accepted: Iterable[set[int]]) -> set[int]:
    return {id(row) for row in rows}.intersection(*accepted)


def _notes(
    rows: Sequence[CampaignRow],
    named: Sequence[CampaignRow],
    criteria: SearchCriteria,
    accepted: Mapping[str, set[int]],
    matched: int,
) -> Iterator[str]:
    """Yield how an argument was read, and what it left out if that is likely not meant, one sentence each.

    Args:
        rows: The campaigns of the list.
        named: Those that match the query, whatever the other arguments are; all if there is no query.
        criteria: What was searched for.
        accepted: The ids of ``_accepted_ids``.
        matched: The number of matches.
    """
    without = {name: len(_common(named, (accepted[other] for other in accepted if other != name))) for name in accepted}
    if matched and criteria.needs_attention is False:  # models often give it without being asked
        yield f"Without needs_attention (false): {_count_text(without['needs_attention'])}."
    if not matched:
        if criteria.query:
            without = {"query": len(_common(rows, accepted.values()))} | without
        yield from (f"Without {name}: {_count_text(count)}." for name, count in without.items() if count)
        if len(without) > 1 and not any(without.values()):
            each = {"query": len(named)} if criteria.query else {}
            each |= {name: len(ids) for name, ids in accepted.items()}
            yield f"Each on its own: {', '.join(f'{name} {_count_text(count)}' for name, count in each.items())}."
    if criteria.status == "paused":
        stopped_ids = {id(row) for row in rows if row.status == "stopped"}
        stopped = len(_common(named, {**accepted, "status": stopped_ids}.values()))
        yield f'Status "paused" was read as new_chats_paused; {stopped:,} {"is" if stopped == 1 else "are"} stopped.'


def _count_text(count: int) -> str:
    return f"{count:,} {'matches' if count == 1 else 'match'}"


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
