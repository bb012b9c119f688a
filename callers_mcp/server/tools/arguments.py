"""Arguments that several tools share."""

from typing import Annotated

from pydantic import BeforeValidator

from callers_mcp.access import parse_sub_organization

SubOrganizationId = Annotated[str | None, BeforeValidator(parse_sub_organization)]
"""A sub-organization's id, ``main``, or ``None`` for the default organization."""
