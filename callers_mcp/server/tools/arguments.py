"""Arguments that several tools share."""

from typing import Annotated

from pydantic import BeforeValidator

from callers_mcp.access import blank_to_none
from callers_mcp.settings import OrganizationId

SubOrganizationId = Annotated[OrganizationId | None, BeforeValidator(blank_to_none)]
"""A sub-organization's id, ``main``, or ``None`` for the default organization."""
