"""Reading of a list in short steps, between which other tasks run.

A JSON parser written in C would be faster, but it holds the interpreter until it has read everything, and it refuses
the whole list if one element is nested too deeply.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator

from pydantic import JsonValue

from callers_mcp.api.errors import UnexpectedResponse
from callers_mcp.api.json_reader import ADVICE, Cleaner, decode, refuse_constant

MAX_ELEMENT_BYTES = 262_144
"""The longest element that is read."""

MAX_ELEMENTS = 100_000
"""The most elements of a list."""

STEP_BYTES = 16_384
"""The longest part of a list that is searched in one step."""

_MAX_QUICK_LEVELS = 5  # of nesting; in an element with more, some brackets are counted one by one
_TYPES = {b"{": "an object", b'"': "text", b"n": "null", b"t": "true or false", b"f": "true or false"}
_TYPES |= {b"%d" % digit: "a number" for digit in range(10)} | {b"-": "a number"}


def _value_pattern(levels: int) -> bytes:
    """Return a pattern for a string, or for an array or object with at most this many levels of nesting.

    It is possessive (``++``), so it tries a character at most once on each level.
    """
    pattern = string = rb'"(?:[^"\\]++|\\.)*+"'
    for _ in range(levels):
        pattern = string + rb'|[\[{](?:[^][{}"]++|' + pattern + rb")*+[\]}]"
    return pattern


# Each pattern ends with a mark in group 1: a comma, a quotation mark, brackets, or nothing at the end of a step.
_VALUE = _value_pattern(_MAX_QUICK_LEVELS)
_in_list = re.compile(rb'(?:[^][{}",]++|' + _VALUE + rb')*+([\[{]++|[]},"]|\Z)', re.DOTALL)
_in_element = re.compile(rb'(?:[^][{}"]++|' + _VALUE + rb')*+([\[{]++|[]}]++|"|\Z)', re.DOTALL)
_in_string = re.compile(rb'(?:[^"\\]++|\\.)*+("|(?=\\?\Z))', re.DOTALL)
_beginning = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]*+(.?)", re.DOTALL)
_decoder = json.JSONDecoder(parse_int=float, parse_constant=refuse_constant)


def read_objects(body: bytes, *, key: str) -> Iterator[dict[str, JsonValue] | None]:
    """Read ``body`` as a JSON array of objects.

    An element that is not an object, is longer than ``MAX_ELEMENT_BYTES`` or is nested too deeply for Python is read as
    an empty object. In the others, ``key`` is masked and hidden text is replaced in the values that are texts.

    Yields:
        The next object, or ``None`` after a step that did not reach its end.

    Raises:
        UnexpectedResponse: Not JSON (including ``NaN``), not an array, or more than ``MAX_ELEMENTS``.
    """
    beginning = _beginning.match(body)
    assert beginning  # noqa: S101
    if beginning[1] != b"[":
        kind = _TYPES.get(beginning[1])
        if kind is None:
            raise _not_json()
        raise UnexpectedResponse(f"The API answered with {kind} instead of a list of campaigns.", ADVICE)
    index = start = step_start = beginning.end()
    count, depth, in_string = 0, 1, False
    cleaner = Cleaner(key, Counter())
    while depth:
        pattern = _in_string if in_string else _in_list if depth == 1 else _in_element
        match = pattern.match(body, index, index + STEP_BYTES)
        if match is None or match.end() == index:
            raise _not_json()  # it ends here
        index, mark = match.end(), match[1]
        if mark == b'"':
            in_string = not in_string
        elif mark.startswith((b"[", b"{")):
            depth += len(mark)
        elif mark.startswith((b"]", b"}")) and depth > 1:
            closed = min(len(mark), depth - 1)  # the rest belongs to the list
            depth -= closed
            index -= len(mark) - closed
        elif mark:
            element = body[start : index - 1]
            if count or mark == b"," or element.strip(b" \t\n\r"):
                count += 1
                yield _read_element(element, cleaner)
            start = index
            depth -= mark != b","
        if count > MAX_ELEMENTS:
            raise UnexpectedResponse(f"The API's list has over {MAX_ELEMENTS:,} campaigns, so it was not read.", ADVICE)
        if index - step_start > STEP_BYTES:
            step_start = index
            yield None
    if mark != b"]" or body[index:].strip(b" \t\n\r"):
        raise _not_json()


def _read_element(element: bytes, cleaner: Cleaner) -> dict[str, JsonValue]:
    if len(element) > MAX_ELEMENT_BYTES:
        return {}
    try:
        content = decode(_decoder, element.decode("utf-8", "replace"))
    except RecursionError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: cleaner.text(value) if isinstance(value, str) else value for name, value in content.items()}


def _not_json() -> UnexpectedResponse:
    return UnexpectedResponse("The API's answer is not JSON.", ADVICE)
