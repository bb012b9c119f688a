"""Arguments that several tools take."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID

EXPECTED_PLACE = (
    "a sub-organization's id (visible ASCII without spaces, at most 128 characters), the word main, or nothing"
)


def none_if_blank(value: Any) -> Any:
    """Read a blank text as "not given", as hosts send it for what was left empty."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def read_place(value: Any) -> Any:
    """Read "not given" (null, blank) as ``None``, and the word ``main`` in any case as that word.

    Raises:
        ValueError: It is no id.
    """
    value = none_if_blank(value)
    if isinstance(value, str):
        if value.lower() == MAIN:
            return MAIN
        if not SUB_ORGANIZATION_ID.fullmatch(value):
            raise ValueError("not an id")
    return value


SubOrganizationId = Annotated[str | None, BeforeValidator(read_place)]
"""Where to look: a sub-organization's id, ``main``, or ``None`` for the default place."""
