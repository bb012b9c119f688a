"""Who may see which organization: the one check before every request to the API."""

from collections.abc import Iterable
from dataclasses import dataclass

from callers_mcp.api.errors import Advice, Forbidden
from callers_mcp.api.key import require_no_placeholder
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings

_MAX_NAMED_ORGANIZATIONS = 20  # in an error

WILDCARD = "*"
"""The word that stands for the main organization and every sub-organization in a grant."""


@dataclass(frozen=True, slots=True)
class AllowedOrganizations:
    """What a caller may see.

    Attributes:
        main: Whether the main organization.
        sub_organizations: Which sub-organizations; ``None`` is all of them.
    """

    main: bool
    sub_organizations: frozenset[str] | None

    @classmethod
    def parse(cls, ids: Iterable[str]) -> "AllowedOrganizations":
        """Read a grant: ids, ``main``, ``*`` for everything. What is none of these grants nothing."""
        granted = {organization.lower() if organization.lower() == MAIN else organization for organization in ids}
        if WILDCARD in granted:
            return UNRESTRICTED
        return cls(
            MAIN in granted,
            frozenset(organization for organization in granted - {MAIN} if SUB_ORGANIZATION_ID.fullmatch(organization)),
        )

    @property
    def is_unrestricted(self) -> bool:
        """Whether nothing is out of sight."""
        return self.main and self.sub_organizations is None

    def allows(self, organization: str) -> bool:
        """Tell whether ``organization``, an id or ``main``, may be looked into."""
        if organization == MAIN:
            return self.main
        return self.sub_organizations is None or organization in self.sub_organizations

    def ids(self) -> tuple[str, ...]:
        """List the organizations, ids and ``main``; without restriction there is no list."""
        return ((MAIN,) if self.main else ()) + tuple(sorted(self.sub_organizations or ()))


UNRESTRICTED = AllowedOrganizations(main=True, sub_organizations=None)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as verified.

    Attributes:
        name: ``token:NAME`` or ``oauth:ISSUER|SUBJECT``; in limits, metrics and audit.
        organizations: What they may see.
    """

    name: str
    organizations: AllowedOrganizations


OPERATOR = Principal("operator", UNRESTRICTED)
"""Whoever holds the key: the one user of a server over stdio, and of the command line."""

ANONYMOUS = Principal("anyone", UNRESTRICTED)
"""Any caller of a server without authentication: on loopback, or behind a gateway that authenticates."""


def can_access(organization: str, principal: Principal, settings: Settings) -> bool:
    """Tell whether ``principal`` may look into ``organization``, an id or ``main``, within what the settings allow."""
    allowed = settings.sub_organizations
    return principal.organizations.allows(organization) and (allowed is None or organization in allowed)


def accessible_organizations(principal: Principal, settings: Settings) -> tuple[str, ...] | None:
    """List the organizations that ``principal`` may look into; ``None`` if they can't be listed."""
    allowed, granted = settings.sub_organizations, principal.organizations
    if allowed is not None:
        return tuple(organization for organization in allowed if granted.allows(organization))
    return None if granted.sub_organizations is None else granted.ids()


def resolve_organization(requested: str | None, principal: Principal, settings: Settings) -> str:
    """Return the organization that a call looks into: a sub-organization's id, or ``main``.

    Args:
        requested: What the call names: an id, ``main``, or ``None``.
        principal: On whose behalf.
        settings: The default organization, and the organizations that are allowed at all.

    Raises:
        Forbidden: It is out of the caller's sight, in the same words whether it exists or not; or a call that has to
            name one names none.
        NotConfigured: A host left a placeholder in a sub-organization setting.
    """
    require_no_placeholder(settings, "sub_organization_id", "sub_organizations")
    accessible = accessible_organizations(principal, settings)
    if requested is None:
        for organization in (settings.sub_organization_id, MAIN):
            if organization is not None and can_access(organization, principal, settings):
                return organization
        if accessible is not None and len(accessible) == 1:
            return accessible[0]
    elif can_access(requested, principal, settings):
        return requested
    subject = "This server" if principal is OPERATOR else "This caller"
    if accessible == ():
        raise Forbidden(
            f"{subject} may not look into any organization here; nothing was sent.", _who_grants_access(principal)
        )
    listed = _list_text(accessible)
    advice = Advice(f"Give a sub_organization_id{listed}.", f"Give a sub-organization's id{listed}.")
    if requested is None:
        raise Forbidden(f"{subject} has to name an organization, and nothing was sent.", advice)
    where = "the main organization" if requested == MAIN else f"sub-organization {requested}"
    raise Forbidden(f"{subject} may not look into {where}; nothing was sent.", advice)


def _who_grants_access(principal: Principal) -> str:
    if principal.name.startswith("oauth:"):
        return "The operator of the sign-in grants it, by the claim that lists the caller's organizations."
    return "The operator grants it."


def _list_text(accessible: tuple[str, ...] | None) -> str:
    if accessible is None:
        return " that it may look into"
    more = (
        f" and {len(accessible) - _MAX_NAMED_ORGANIZATIONS} more" if len(accessible) > _MAX_NAMED_ORGANIZATIONS else ""
    )
    return f" that it may look into: {', '.join(accessible[:_MAX_NAMED_ORGANIZATIONS])}{more}"
