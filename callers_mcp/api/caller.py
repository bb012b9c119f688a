"""On whose behalf a look-up is made, and what they may see."""

from collections.abc import Iterable
from dataclasses import dataclass

from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID

EVERYTHING = "*"
"""The word that stands for the main organization and every sub-organization in a grant."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see.

    Attributes:
        main: Whether the main organization.
        sub_organizations: Which sub-organizations; ``None`` is all of them.
    """

    main: bool
    sub_organizations: frozenset[str] | None

    @classmethod
    def of(cls, places: Iterable[str]) -> "Scope":
        """Read a grant: ids, ``main``, ``*`` for everything. What is none of these grants nothing."""
        given = {place.lower() if place.lower() == MAIN else place for place in places}
        if EVERYTHING in given:
            return FULL_SCOPE
        return cls(MAIN in given, frozenset(place for place in given - {MAIN} if SUB_ORGANIZATION_ID.fullmatch(place)))

    @property
    def is_full(self) -> bool:
        """Whether nothing is out of sight."""
        return self.main and self.sub_organizations is None

    def allows(self, place: str) -> bool:
        """Tell whether ``place``, an id or ``main``, may be looked into."""
        if place == MAIN:
            return self.main
        return self.sub_organizations is None or place in self.sub_organizations

    def places(self) -> tuple[str, ...]:
        """Name the places that this scope lists; of a full one there is no list."""
        return ((MAIN,) if self.main else ()) + tuple(sorted(self.sub_organizations or ()))


FULL_SCOPE = Scope(main=True, sub_organizations=None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as verified.

    Attributes:
        name: ``token:NAME`` or ``oauth:ISSUER|SUBJECT``; in limits, metrics and audit.
        scope: What they may see.
    """

    name: str
    scope: Scope


OPERATOR = Caller("operator", FULL_SCOPE)
"""Whoever holds the key: the one user of a server over stdio, and of the command line."""
