"""Which caller may see which organization: the check before every request to the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from callers_mcp.api.errors import Advice, Forbidden
from callers_mcp.api.key import require_no_placeholder
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings

_MAX_NAMED_ORGANIZATIONS = 20  # in an error message

SUB_ORGANIZATION_HELP = (
    "a sub-organization's id (visible ASCII without spaces, at most 128 characters), the word main, or nothing"
)
"""What an argument that names an organization takes."""

WILDCARD = "*"
"""In a grant: the main organization and every sub-organization."""


@dataclass(frozen=True, slots=True)
class AllowedOrganizations:
    """The organizations that a caller may see.

    Attributes:
        main: Whether the main organization is allowed.
        sub_organizations: The allowed sub-organizations; ``None`` allows all.
    """

    main: bool
    sub_organizations: frozenset[str] | None

    @classmethod
    def parse(cls, ids: Iterable[str]) -> "AllowedOrganizations":
        """Parse a grant: ids, ``main``, or ``*`` for all organizations. Any other text is ignored."""
        granted = {organization.lower() if organization.lower() == MAIN else organization for organization in ids}
        if WILDCARD in granted:
            return UNRESTRICTED
        return cls(
            MAIN in granted,
            frozenset(organization for organization in granted - {MAIN} if SUB_ORGANIZATION_ID.fullmatch(organization)),
        )

    @property
    def is_unrestricted(self) -> bool:
        """Whether all organizations are allowed."""
        return self.main and self.sub_organizations is None

    def allows(self, organization: str) -> bool:
        """Return whether ``organization``, an id or ``main``, is allowed."""
        if organization == MAIN:
            return self.main
        return self.sub_organizations is None or organization in self.sub_organizations

    def ids(self) -> tuple[str, ...]:
        """Return the organizations that are allowed by name: ``main``, and the ids in ``sub_organizations``."""
        return ((MAIN,) if self.main else ()) + tuple(sorted(self.sub_organizations or ()))


UNRESTRICTED = AllowedOrganizations(main=True, sub_organizations=None)


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    Attributes:
        name: ``token:NAME`` or ``oauth:ISSUER|SUBJECT``; used in limits, metrics and the audit log.
        organizations: The organizations that the caller may see.
    """

    name: str
    organizations: AllowedOrganizations


OPERATOR = Principal("operator", UNRESTRICTED)
"""The person who has the API key: the only user of a server over stdio, and of the command line."""

ANONYMOUS = Principal("anyone", UNRESTRICTED)
"""Any caller of a server without authentication: on loopback, or behind a gateway that authenticates."""


def blank_to_none(value: Any) -> Any:
    """Return ``None`` for a blank text: hosts send one for a field that the user left empty."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def parse_sub_organization(value: Any) -> Any:
    """Return ``None`` for null or a blank text, ``main`` for that word in any case, and otherwise the id.

    Raises:
        ValueError: It is not a valid id.
    """
    value = blank_to_none(value)
    if isinstance(value, str):
        if value.lower() == MAIN:
            return MAIN
        if not SUB_ORGANIZATION_ID.fullmatch(value):
            raise ValueError("not an id")
    return value


def describe_organization(organization: str | None) -> str:
    """Return an organization in words, for messages; ``main`` and ``None`` are the main organization."""
    return "the main organization" if organization in (MAIN, None) else f"sub-organization {organization}"


def can_access(organization: str, principal: Principal, settings: Settings) -> bool:
    """Return whether ``principal`` and the settings allow access to ``organization``, an id or ``main``."""
    allowed = settings.sub_organizations
    return principal.organizations.allows(organization) and (allowed is None or organization in allowed)


def accessible_organizations(principal: Principal, settings: Settings) -> tuple[str, ...] | None:
    """Return the organizations that ``principal`` may look into; ``None`` if they can't be listed."""
    allowed, granted = settings.sub_organizations, principal.organizations
    if allowed is not None:
        return tuple(organization for organization in allowed if granted.allows(organization))
    return None if granted.sub_organizations is None else granted.ids()


def resolve_organization(requested: str | None, principal: Principal, settings: Settings) -> str:
    """Return the organization that a call looks into: a sub-organization's id, or ``main``.

    Args:
        requested: An id, ``main``, or ``None`` if the call names no organization.
        principal: The caller.
        settings: The default organization, and the organizations that this server allows.

    Raises:
        Forbidden: The caller may not look into it, with the same message whether it exists or not; or the call must
            name an organization and does not.
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
    raise Forbidden(f"{subject} may not look into {describe_organization(requested)}; nothing was sent.", advice)


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
