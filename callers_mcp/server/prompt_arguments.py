"""The arguments of prompts: what a person means by them, also where a host has split them or fills them in later."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from mcp_types import Prompt

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import InvalidArguments, expected
from callers_mcp.api.request import is_object_id
from callers_mcp.sanitize import quote, sanitize
from callers_mcp.settings import MAIN

_SUB_ORGANIZATION_HELP = (
    "a sub-organization's id (24 hexadecimal digits, or one that is configured), the word main, or nothing. "
    "If it belongs to a campaign's name, give the campaign's id"
)

MAX_ARGUMENT_CHARACTERS = 400
"""Characters of an argument: enough for a name as completion offers it."""

MAX_NAME_CHARACTERS = 80
"""Characters of a name that is quoted, and of what another argument may add to it."""

_id_first = re.compile(r"([0-9a-f]{24})\s+(\S.*)", re.IGNORECASE | re.DOTALL)
_id_last = re.compile(r"(.*)\(([0-9a-f]{24})\)", re.IGNORECASE | re.DOTALL)
_placeholder = re.compile(r"\$(\d\d?|[A-Za-z_]\w{0,39})|\$\{[\w.: -]{1,40}\}|\{\{[\w.: -]{1,40}\}\}", re.ASCII)
_QUOTATION_MARKS = "\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e"


class Reading(NamedTuple):
    """How a prompt's arguments are read.

    Attributes:
        campaigns: For each argument, the text that means a campaign.
        place: The sub-organization.
        merged_name: The campaign's name, if it was in two arguments.
        word_beside_id: The first word of the campaign's name, if it was left beside its id.
    """

    campaigns: Mapping[str, str]
    place: str | None
    merged_name: str | None = None
    word_beside_id: str | None = None

    def first_line(self, client: CallersClient) -> str:
        """Return the note on a name that was in two arguments; otherwise an empty text."""
        if self.merged_name is None:
            return ""
        name = quote(client.mask(self.merged_name), MAX_NAME_CHARACTERS)
        return f"Read as the name {name}; a sub-organization is given by its id."


def read_arguments(
    prompt: Prompt, campaigns: Mapping[str, str], place: str | None, client: CallersClient
) -> Reading | None:
    """Return how the arguments are read; ``None`` if their words can't be told apart.

    Some hosts give each word to the next argument, and drop the words that are left over.

    Raises:
        InvalidArguments: ``place`` is neither a sub-organization nor a part of a campaign's name.
    """
    if place is None or is_sub_organization(place, client):
        return Reading(campaigns, place)
    if len(place) > MAX_NAME_CHARACTERS or any(map(str.isdigit, place)) or sanitize(place) != place:
        raise invalid_sub_organization(place, client)
    if not all(map(parse_id, campaigns.values())):
        if prompt.name != "review_campaign":
            return None
        (text,) = campaigns.values()
        name = f"{text} {place}".strip(_QUOTATION_MARKS + " ")
        return Reading({"campaign": name}, None, merged_name=name)
    # What a host leaves of a value that completion offers; the campaign's name decides.
    if all(map(is_object_id, campaigns.values())) and len(campaigns) == 1 < len(place) and place.split() == [place]:
        return Reading(campaigns, None, word_beside_id=place)
    raise invalid_sub_organization(place, client)


def checked_arguments(prompt: Prompt, arguments: Mapping[str, str], client: CallersClient) -> dict[str, str]:
    """Return the arguments that are not blank, in the prompt's order.

    Raises:
        InvalidArguments: An argument is missing, unknown or invalid.
    """
    known = {argument.name: argument for argument in prompt.arguments or []}
    if unknown := [name for name in arguments if name not in known]:
        raise InvalidArguments(
            f"Unknown argument {quote(client.mask(unknown[0]), 60)}. {prompt.name} takes {', '.join(known)}."
        )
    texts = {name: arguments.get(name, "").strip() for name in known}
    texts |= {name: _without_quotation_marks(texts[name]) for name, argument in known.items() if argument.required}
    values = {name: text for name, text in texts.items() if text}
    if missing := [name for name, argument in known.items() if argument.required and name not in values]:
        raise InvalidArguments(f"{missing[0]} is missing: it takes a campaign's name or its id.")
    if too_long := [name for name, text in values.items() if len(text) > MAX_ARGUMENT_CHARACTERS]:
        raise InvalidArguments(f"{too_long[0]} is too long: it takes at most {MAX_ARGUMENT_CHARACTERS} characters.")
    return values


def _without_quotation_marks(text: str) -> str:
    """Return ``text`` without quotation marks around it, which some hosts leave there."""
    is_quoted = len(text) > 1 and text[0] in _QUOTATION_MARKS and text[-1] in _QUOTATION_MARKS
    return text[1:-1].strip() if is_quoted else text


def is_sub_organization(text: str, client: CallersClient) -> bool:
    """Return whether ``text`` is an ObjectId, ``main``, or another id that is configured and that the caller may see.

    Any other text is the same for a caller, whether another caller may see such a sub-organization or not.
    """
    if is_object_id(text) or text.lower() == MAIN:
        return True
    access = client.access
    return text in (*(access.organizations or ()), access.settings.sub_organization_id) and access.allows(text)


def invalid_sub_organization(text: str, client: CallersClient) -> InvalidArguments:
    """Return the error for a sub-organization that a prompt does not take."""
    problem = f"sub_organization_id {quote(client.mask(text), 60)} is not valid"
    return InvalidArguments(expected(problem, _SUB_ORGANIZATION_HELP))


def parse_id(text: str) -> tuple[str, str] | None:
    """Return the id in ``text`` and the name beside it, which may be empty; ``None`` if it is only a name."""
    if is_object_id(text):
        return text, ""
    if match := _id_first.fullmatch(text):
        return match[1], match[2]
    return (match[2], match[1].strip()) if (match := _id_last.fullmatch(text)) else None


def is_placeholder(text: str) -> bool:
    """Return whether the host fills ``text`` in later, as in ``$1``, ``$ARGUMENTS`` or ``{{name}}``."""
    return _placeholder.fullmatch(text) is not None
