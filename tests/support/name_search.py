"""Searches campaigns by name. Use it to show which names a query finds, and in which order."""

from dataclasses import dataclass

from callers_mcp.campaign.matching import fold, search


@dataclass(frozen=True)
class Row:
    """The fields of a campaign that a search needs."""

    id: str | None
    name: str
    folded_name: str


def rows(*names: str) -> list[Row]:
    """Return a campaign for each name; the last is the newest."""
    return [Row(f"{number:024x}", name, fold(name)) for number, name in enumerate(names)]


def found(query: str, *names: str) -> list[str]:
    """Return the names that a query finds among ``names``, best match first."""
    return [row.name for row in search(rows(*names), query)]
