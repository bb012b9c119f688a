"""Arguments that several tools share."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID

SUB_ORGANIZATION_HELP = (
    "a sub-organization's id (visible ASCII without spaces, at most 128 characters), the word main, or nothing"
)


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


SubOrganizationId = Annotated[str | None, BeforeValidator(parse_sub_organization)]
"""A sub-organization's id, ``main``, or ``None`` for the default organization."""
