"""Which caller may see which organization: the check before every request to the API."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from callers_mcp.api.errors import Advice, Forbidden
from callers_mcp.api.key import require_no_placeholder
from callers_mcp.settings import MAIN, Settings, parse_organization

_MAX_NAMED_ORGANIZATIONS = 20  # in an error message

SUB_ORGANIZATION_HELP = "a sub-organization's id (1 to 128 of A-Z a-z 0-9 _ -), the word main, or nothing"
"""What an argument that names an organization takes."""

_REQUESTED_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")  # narrower than in settings, where an operator may know better
_NOT_GIVEN = {"", "null", "None", "undefined"}

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
        granted: set[str] = set()
        for organization in ids:
            if organization == WILDCARD:
                return UNRESTRICTED
            with suppress(ValueError):
                granted.add(parse_organization(organization))
        return cls(MAIN in granted, frozenset(granted - {MAIN}))

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
    """Return ``None`` for a text that hosts and models send for an argument that was not given, such as a blank one."""
    if isinstance(value, str):
        value = value.strip()
        return None if value in _NOT_GIVEN else value
    return value


def parse_named_organization(text: str | None) -> str | None:
    """Return the id or ``main`` that a call names as ``text``; ``None`` if it names none.

    Raises:
        ValueError: It is not an id as a call may give it.
    """
    organization: str | None = blank_to_none(text)
    if organization is None:
        return None
    if not _REQUESTED_ID.fullmatch(organization):
        raise ValueError("is not an id")
    return parse_organization(organization)


def describe_organization(organization: str | None) -> str:
    """Return an organization in words, for messages; ``main`` and ``None`` are the main organization."""
    return "the main organization" if organization in (MAIN, None) else f"sub-organization {organization}"


@dataclass(frozen=True, slots=True)
class OrganizationAccess:
    """What one caller may see on this server.

    Attributes:
        principal: The caller.
        settings: The default organization, and the organizations that this server allows.
    """

    principal: Principal
    settings: Settings

    def allows(self, organization: str) -> bool:
        """Return whether the caller may look into ``organization``, an id or ``main``."""
        allowed = self.settings.sub_organizations
        return self.principal.organizations.allows(organization) and (allowed is None or organization in allowed)

    @property
    def organizations(self) -> tuple[str, ...] | None:
        """The organizations that the caller may look into, as ids and ``main``; ``None`` if they can't be listed."""
        allowed, granted = self.settings.sub_organizations, self.principal.organizations
        if allowed is not None:
            return tuple(organization for organization in allowed if granted.allows(organization))
        return None if granted.sub_organizations is None else granted.ids()

    @property
    def can_list(self) -> bool:
        """Whether the campaigns of any organization can be listed; for the main one, its id has to be set."""
        organizations = self.organizations
        if organizations is None:
            organizations = (MAIN, self.settings.sub_organization_id or MAIN)
        return any(
            self.allows(organization) and (organization != MAIN or self.settings.organization_id)
            for organization in organizations
        )

    @property
    def hides_main(self) -> bool:
        """Whether the main organization's campaigns must be hidden from the caller if the API returns any."""
        return self.settings.organization_id is not None and not self.allows(MAIN)

    def resolve(self, requested: str | None) -> str | None:
        """Return the organization that a call looks into: a sub-organization's id, or ``None`` for the main one.

        Args:
            requested: An id, ``main``, or ``None`` if the call names no organization.

        Raises:
            Forbidden: The caller may not look into it, with the same message whether it exists or not; or the call
                must name an organization and does not.
            NotConfigured: A host left a placeholder in a sub-organization setting.
        """
        require_no_placeholder(self.settings, "sub_organization_id", "sub_organizations")
        organizations = self.organizations
        choices: Iterable[str | None] = [requested]
        if requested is None:
            only = organizations if organizations is not None and len(organizations) == 1 else ()
            choices = (self.settings.sub_organization_id, MAIN, *only)
        for organization in choices:
            if organization is not None and self.allows(organization):
                return None if organization == MAIN else organization
        subject = "This server" if self.principal is OPERATOR else "This caller"
        if organizations == ():
            who = "the sign-in grants it, by the claim that lists the caller's organizations"
            raise Forbidden(
                f"{subject} may not look into any organization here; nothing was sent.",
                f"The operator of {who}." if self.principal.name.startswith("oauth:") else "The operator grants it.",
            )
        listed = _list_text(organizations)
        raise Forbidden(
            f"{subject} has to name an organization, and nothing was sent."
            if requested is None
            else f"{subject} may not look into {describe_organization(requested)}; nothing was sent.",
            Advice(f"Give a sub_organization_id{listed}.", f"Give a sub-organization's id{listed}."),
        )


def _list_text(organizations: tuple[str, ...] | None) -> str:
    if organizations is None:
        return " that it may look into"
    more = len(organizations) - _MAX_NAMED_ORGANIZATIONS
    named = ", ".join(organizations[:_MAX_NAMED_ORGANIZATIONS])
    return f" that it may look into: {named}{f' and {more} more' if more > 0 else ''}"
