"""Completion: the values that a host offers while a user fills in a prompt or a resource template."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from operator import attrgetter

from mcp_types import PromptReference, ResourceTemplateReference

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, InvalidArguments
from callers_mcp.api.request import is_object_id
from callers_mcp.campaign.listing import CampaignRow, label, parse_row
from callers_mcp.campaign.matching import search, until_cancelled
from callers_mcp.server.prompt_arguments import MAX_ARGUMENT_CHARACTERS
from callers_mcp.server.prompts import PROMPTS
from callers_mcp.server.resources import TEMPLATES

MAX_VALUES = 100
"""Values in one response, the protocol's limit."""


async def complete(
    ref: PromptReference | ResourceTemplateReference,
    argument: str,
    typed: str,
    other_arguments: Mapping[str, str],
    client: CallersClient,
) -> tuple[list[str], int]:
    """Return the first values that ``argument`` could have, the best first, and how many there are.

    Args:
        ref: The prompt or the resource template.
        argument: The name of its argument.
        typed: The part of the value that the user has typed.
        other_arguments: The arguments that have a value already.
        client: The client, on behalf of the user who types.

    Raises:
        InvalidArguments: There is no such prompt or template.
    """
    if isinstance(ref, PromptReference):
        prompts = {prompt.name: [each.name for each in prompt.arguments or []] for prompt in PROMPTS}
        argument_names = prompts.get(ref.name)
    else:
        templates = {each.uri_template: re.findall(r"{(\w+)}", each.uri_template) for each in TEMPLATES}
        argument_names = templates.get(ref.uri)
    if argument_names is None:
        raise InvalidArguments("There is no such prompt or resource template.")
    if argument not in argument_names or len(typed) > MAX_ARGUMENT_CHARACTERS:
        return [], 0
    if argument == "sub_organization_id":
        organizations = [
            organization
            for organization in client.access.organizations or ()
            if organization.lower().startswith(typed.strip().lower())
        ]
        return organizations[:MAX_VALUES], len(organizations)
    select = partial(_values, typed=typed, to_value=label if isinstance(ref, PromptReference) else attrgetter("id"))
    try:
        organization = other_arguments.get("sub_organization_id")
        return await client.list_campaigns(parse_row, select, sub_organization_id=organization)
    except CallersError:  # the operator's log has it; do not disturb the user who types
        return [], 0


def _values(rows: Sequence[CampaignRow], typed: str, to_value: Callable[[CampaignRow], str]) -> tuple[list[str], int]:
    """Return the first values, and how many campaigns match: by words of the name, an id, or ``Name (id)``."""
    rows, start = [row for row in until_cancelled(rows) if is_object_id(row.id)], typed.strip().casefold()
    found = {row.id: row for row in search(rows, typed)}
    others = {row.id: row for row in until_cancelled(rows) if row.id not in found and _begins_with(row, start)}
    first = nsmallest(MAX_VALUES, others.values(), key=lambda row: (row.folded_name, row.id or ""))
    return [to_value(row) for row in [*found.values(), *first][:MAX_VALUES]], len(found) + len(others)


def _begins_with(row: CampaignRow, start: str) -> bool:
    """Return whether the label or ``Name (id)`` begins with ``start``; a label takes long to make."""
    if str(row.id).lower().startswith(start[:24]):
        return len(start) <= 24 or label(row).casefold().startswith(start)
    return f"{row.name or ''} ({row.id})".casefold().startswith(start)
