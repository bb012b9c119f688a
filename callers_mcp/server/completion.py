"""Completion: the values that a host offers while a user fills in a prompt or a resource template."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from mcp_types import PromptReference, ResourceTemplateReference

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, InvalidArguments
from callers_mcp.api.request import is_object_id
from callers_mcp.campaign.listing import CampaignRow, label, parse_row
from callers_mcp.campaign.matching import fold, search
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
) -> list[str]:
    """Return the values that ``argument`` could have, best first; an empty list if there are none to offer.

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
        return []
    if argument == "sub_organization_id":
        return [
            organization
            for organization in client.access.organizations or ()
            if organization.lower().startswith(typed.strip().lower())
        ]
    select = partial(_labels if isinstance(ref, PromptReference) else _ids, typed=typed)
    try:
        organization = other_arguments.get("sub_organization_id")
        return await client.list_campaigns(parse_row, select, sub_organization_id=organization)
    except CallersError:  # the operator's log has it; do not disturb the user who types
        return []


def _labels(rows: Sequence[CampaignRow], typed: str) -> list[str]:
    """Return the labels of the campaigns that match what was typed."""
    return [label(row) for row in _matching(rows, typed)]


def _ids(rows: Sequence[CampaignRow], typed: str) -> list[str]:
    """Return the ids of the campaigns that match what was typed."""
    return [row.id for row in _matching(rows, typed) if row.id]


def _matching(rows: Sequence[CampaignRow], typed: str) -> list[CampaignRow]:
    """Return the campaigns that match what was typed, the best first: words of the name, an id, or ``Name (id)``."""
    rows, start = _with_valid_id(rows), typed.strip().casefold()
    forms = ((row, label(row), f"{row.name or ''} ({row.id})") for row in rows)
    labelled = [row for row, *texts in forms if any(text.casefold().startswith(start) for text in texts)]
    matches = [*search(rows, typed), *_sorted_by_name(labelled), *_starting_with(rows, typed)]
    return list({row.id: row for row in matches}.values())


def _with_valid_id(rows: Sequence[CampaignRow]) -> list[CampaignRow]:
    return [row for row in rows if is_object_id(row.id)]


def _starting_with(rows: Sequence[CampaignRow], typed: str) -> Sequence[CampaignRow]:
    start, name = typed.strip().lower(), fold(typed)
    return _sorted_by_name(
        row for row in rows if (row.id or "").lower().startswith(start) or (name and row.folded_name.startswith(name))
    )


def _sorted_by_name(rows: Iterable[CampaignRow]) -> list[CampaignRow]:
    return sorted(rows, key=lambda row: (row.folded_name, row.id or ""))
