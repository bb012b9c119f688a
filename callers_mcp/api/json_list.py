"""Reading of a list in short steps, between which other tasks run.

A JSON parser written in C would be faster, but it holds the interpreter until it has read everything, and it refuses
the whole list if one element is nested too deeply.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress

from pydantic import JsonValue

from callers_mcp.api.errors import UnexpectedResponse
from callers_mcp.api.json_reader import ADVICE, Cleaner, decode, refuse_constant

MAX_ELEMENT_BYTES = 262_144
"""The longest element that is read."""

MAX_ELEMENTS = 100_000
"""The most elements of a list."""

MAX_ENVELOPE_FIELD_BYTES = 4_096
"""The longest field beside a list that is read."""

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
_items = re.compile(rb'[ \t\n\r]*+"(?:campaigns|content|data|docs|items|records|results)"[ \t\n\r]*+:(?=[ \t\n\r]*+\[)')


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits  # as for a single campaign


_decoder = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=refuse_constant)


def read_objects(body: bytes, *, key: str, envelope: dict[str, JsonValue]) -> Iterator[dict[str, JsonValue] | None]:
    """Read ``body`` as a JSON array of objects, or as an object with such an array in a field of a usual name.

    An element that is not an object, is longer than ``MAX_ELEMENT_BYTES`` or is nested too deeply for Python is read as
    an empty object. In the others, ``key`` is masked and hidden text is replaced in the values that are texts.

    Args:
        body: UTF-8 JSON.
        key: The API key.
        envelope: Receives the short fields beside the array, if there are any.

    Yields:
        The next object, or ``None`` after a step that did not reach its end.

    Raises:
        UnexpectedResponse: Not JSON (including ``NaN``), not a list, or more than ``MAX_ELEMENTS``.
    """
    beginning = _beginning.match(body)
    kind = beginning[1] if beginning else b""
    if beginning and kind == b"{":
        with suppress(UnexpectedResponse):  # then it is reported as an object
            body = yield from _open_envelope(body, beginning.end(), envelope)
        beginning = _beginning.match(body)
    if beginning is None or beginning[1] != b"[":
        if kind not in _TYPES:
            raise _not_json()
        raise UnexpectedResponse(f"The API answered with {_TYPES[kind]} instead of a list of campaigns.", ADVICE)
    cleaner = Cleaner(key, Counter())
    count = 0
    for element in _split(body, beginning.end()):
        count += element is not None
        if count > MAX_ELEMENTS:
            raise UnexpectedResponse(f"The API's list has over {MAX_ELEMENTS:,} campaigns, so it was not read.", ADVICE)
        yield None if element is None else _read_element(element, cleaner)


def _open_envelope(body: bytes, index: int, envelope: dict[str, JsonValue]) -> Generator[None, None, bytes]:
    """Return the array of campaigns in an object, or nothing; put the short fields beside it into ``envelope``."""
    items = b""
    for member in _split(body, index):
        if member is None:
            yield
        elif not items and (named := _items.match(member)):
            items = member[named.end() :]
        elif len(member) <= MAX_ENVELOPE_FIELD_BYTES:
            envelope |= _read_object(b"{%s}" % member)
    return items


def _split(body: bytes, index: int) -> Iterator[bytes | None]:
    """Yield each element of the array, or member of the object, that begins before ``index`` and is all of ``body``.

    After a step that does not reach the end of an element, yield ``None``.
    """
    closing = b"]" if body[index - 1 : index] == b"[" else b"}"
    start = step_start = index
    depth, in_string, is_first = 1, False, True
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
            if not is_first or mark == b"," or element.strip(b" \t\n\r"):
                yield element
            start, is_first = index, False
            depth -= mark != b","
        if index - step_start > STEP_BYTES:
            step_start = index
            yield None
    if mark != closing or body[index:].strip(b" \t\n\r"):
        raise _not_json()


def _read_element(element: bytes, cleaner: Cleaner) -> dict[str, JsonValue]:
    content = _read_object(element) if len(element) <= MAX_ELEMENT_BYTES else {}
    return {name: cleaner.text(value) if isinstance(value, str) else value for name, value in content.items()}


def _read_object(text: bytes) -> dict[str, JsonValue]:
    """Return the JSON object in ``text``; an empty one if there is another value, or if it is nested too deeply."""
    with suppress(RecursionError):
        content = decode(_decoder, text.decode("utf-8", "replace"))
        return content if isinstance(content, dict) else {}
    return {}


def _not_json() -> UnexpectedResponse:
    return UnexpectedResponse("The API's answer is not JSON.", ADVICE)
