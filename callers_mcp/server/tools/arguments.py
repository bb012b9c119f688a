"""Arguments that several tools share."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from callers_mcp.access import blank_to_none, parse_requested_organization

SubOrganizationId = Annotated[
    Annotated[str, AfterValidator(parse_requested_organization)] | None, BeforeValidator(blank_to_none)
]
"""A sub-organization's id, ``main``, or ``None`` for the default organization."""
