"""Who may see which organization: the one check before every request to the API."""

from collections.abc import Iterable
from dataclasses import dataclass

from callers_mcp.api.errors import Forbidden
from callers_mcp.api.key import require_filled_in
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings

_LISTED = 20  # places that an error names

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


def may_see(place: str, caller: Caller, settings: Settings) -> bool:
    """Tell whether ``caller`` may look into ``place``, an id or ``main``, within what the settings allow."""
    allowed = settings.sub_organizations
    return caller.scope.allows(place) and (allowed is None or place in allowed)


def own_places(caller: Caller, settings: Settings) -> tuple[str, ...] | None:
    """List the places that ``caller`` may look into; ``None`` where they can't be listed."""
    allowed, scope = settings.sub_organizations, caller.scope
    if allowed is not None:
        return tuple(place for place in allowed if scope.allows(place))
    return None if scope.sub_organizations is None else scope.places()


def find_place(named: str | None, caller: Caller, settings: Settings) -> str:
    """Return the place that a call looks into: a sub-organization's id, or ``main``.

    Args:
        named: What the call names: an id, ``main``, or ``None``.
        caller: On whose behalf.
        settings: The default place, and the places that are allowed at all.

    Raises:
        Forbidden: It is out of the caller's sight, in the same words whether it exists or not; or a call that has to
            name one names none.
        NotConfigured: A host left a placeholder in a sub-organization setting.
    """
    require_filled_in(settings, "sub_organization_id", "sub_organizations")
    own = own_places(caller, settings)
    if named is None:
        for place in (settings.sub_organization_id, MAIN):
            if place is not None and may_see(place, caller, settings):
                return place
        if own is not None and len(own) == 1:
            return own[0]
    elif may_see(named, caller, settings):
        return named
    who = "This server" if caller is OPERATOR else "This caller"
    if own == ():
        raise Forbidden(f"{who} may not look into any organization here; nothing was sent. {_ask(caller)}")
    listed = _list(own)
    if named is None:
        raise Forbidden(f"{who} has to name a place, and nothing was sent. Give a sub_organization_id{listed}.")
    where = "the main organization" if named == MAIN else f"sub-organization {named}"
    raise Forbidden(f"{who} may not look into {where}; nothing was sent. Give a sub_organization_id{listed}.")


def _ask(caller: Caller) -> str:
    if caller.name.startswith("oauth:"):
        return "Whoever runs the sign-in grants it, by the claim that lists the caller's organizations."
    return "The operator grants it."


def _list(own: tuple[str, ...] | None) -> str:
    if own is None:
        return " that it may look into"
    more = f" and {len(own) - _LISTED} more" if len(own) > _LISTED else ""
    return f" that it may look into: {', '.join(own[:_LISTED])}{more}"
