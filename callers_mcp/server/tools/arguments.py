"""Arguments that several tools take."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID

SUB_ORGANIZATION_HELP = (
    "a sub-organization's id (visible ASCII without spaces, at most 128 characters), the word main, or nothing"
)


def blank_to_none(value: Any) -> Any:
    """Read a blank text as "not given", as hosts send it for what was left empty."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def parse_sub_organization(value: Any) -> Any:
    """Read "not given" (null, blank) as ``None``, and the word ``main`` in any case as that word.

    Raises:
        ValueError: It is no id.
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
