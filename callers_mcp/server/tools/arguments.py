"""Arguments that several tools share."""

from typing import Annotated

from pydantic import AfterValidator

from callers_mcp.access import parse_named_organization

SubOrganizationId = Annotated[str | None, AfterValidator(parse_named_organization)]
"""A sub-organization's id, ``main``, or ``None`` for the default organization."""
