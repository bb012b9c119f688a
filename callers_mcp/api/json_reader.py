"""Strict and bounded reading of the API's JSON.

The value is what the API sent, with numbers as doubles. What can't be passed on as valid UTF-8 JSON, and text that is
hidden from people, is replaced, and a note is added for each kind of change.
"""

import codecs
import gc
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate

from anyio import NoEventLoopError, from_thread
from pydantic import JsonValue

from callers_mcp.api.errors import Advice, UnexpectedResponse
from callers_mcp.api.key_mask import MASK, key_mask
from callers_mcp.sanitize import replace_tags, strip_invisible
from callers_mcp.settings import variable

MAX_DEPTH = 100
"""Levels of nesting, including the outermost object."""

MAX_CONTAINERS = 50_000
"""Objects and lists in an answer: many of them take longer to return than one long text."""

ADVICE = Advice(
    f"Trying again will probably not help: the operator checks {variable('base_url')}, or asks Callers.",
    f"Trying again will probably not help: check {variable('base_url')}, or ask Callers.",
)
_NOTES = {
    "bytes": "In raw, bytes that were not UTF-8 became U+FFFD.",
    "surrogates": "In raw, a lone surrogate became U+FFFD.",
    "tags": "In raw, invisible Unicode tag characters, which can hide instructions from people, became U+FFFD.",
    "numbers": "In raw, a number beyond the range of a double stands as a string.",
    "names": "In raw, fields of the same name were given a number.",
    "key": f"The API's answer held the API key; in raw it stands as {MASK}.",
}
_PART_BYTES = 65_536
_BRACKETS = b"[{]}"
_DEPTH_STEPS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")  # 1 and -1
_OTHER_BYTES = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_lone_surrogate = re.compile("[\ud800-\udfff]")
_string = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object from the API, and a note for each kind of change that was needed to pass it on."""

    content: dict[str, JsonValue]
    notes: tuple[str, ...] = ()


def read_object(body: bytes, *, key: str) -> Document:
    """Read ``body`` as one JSON object.

    Args:
        body: UTF-8 JSON.
        key: The API key, masked wherever it occurs.

    Raises:
        UnexpectedResponse: Not JSON (including ``NaN``), not an object, nested deeper than ``MAX_DEPTH``, or with
            more than ``MAX_CONTAINERS`` objects and lists.
    """
    depth, containers = _nesting(body)
    if depth > MAX_DEPTH:
        raise _not_read(f"is nested deeper than {MAX_DEPTH} levels")
    if containers > MAX_CONTAINERS:
        raise _not_read(f"has more than {MAX_CONTAINERS:,} objects and lists")
    counts: Counter[str] = Counter()
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        counts["bytes"] += 1
        # In parts, between which a thread can be stopped; each byte that is replaced takes time.
        parts = (body[index : index + _PART_BYTES] for index in range(0, len(body), _PART_BYTES))
        text = "".join(codecs.iterdecode(parts, "utf-8-sig", "replace"))
    cleaner = Cleaner(key, counts, nothing_to_clean=_is_clean(text, key))
    decoder = json.JSONDecoder(
        parse_int=cleaner.number(int),
        parse_float=cleaner.number(float),
        parse_constant=refuse_constant,
        object_pairs_hook=cleaner.members,
    )
    content = decode(decoder, text)
    if not isinstance(content, dict):
        raise UnexpectedResponse(f"The API answered with {type_name(content)} instead of a campaign.", ADVICE)
    return Document(content, tuple(sentence for kind, sentence in _NOTES.items() if counts[kind]))


def decode(decoder: json.JSONDecoder, text: str) -> JsonValue:
    """Decode JSON without garbage collection, which would search all the new objects several times.

    Raises:
        UnexpectedResponse: It is not JSON.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        content: JsonValue = decoder.decode(text)
        return content
    except ValueError:
        raise UnexpectedResponse("The API's answer is not JSON.", ADVICE) from None
    finally:
        if was_enabled:
            gc.enable()


def _not_read(reason: str) -> UnexpectedResponse:
    return UnexpectedResponse(f"The API's answer {reason}, so it was not read.", ADVICE)


def _nesting(body: bytes) -> tuple[int, int]:
    """Return the depth of a JSON text, and the number of its objects and lists; both 0 if there are few."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0, 0  # nearly all answers
    steps = _string.sub(b"", body).translate(_DEPTH_STEPS, _OTHER_BYTES)
    return max(accumulate(memoryview(steps).cast("b")), default=0), steps.count(1)


def _is_clean(text: str, key: str) -> bool:
    """Return whether nothing has to be cleaned in a JSON text, as in nearly all: no escapes, no tags and no key."""
    keys = key_mask(key)
    if "\\" in text or key.isdigit() or text in keys:
        return False
    return text.isascii() or not (replace_tags(text)[1] or strip_invisible(text) in keys)


class Cleaner:
    """Replaces what must not be passed on in the values of a JSON text, and counts the changes.

    Args:
        key: The API key.
        counts: The number of changes of each kind.
        nothing_to_clean: Whether only fields of the same name need a change.
    """

    def __init__(self, key: str, counts: Counter[str], *, nothing_to_clean: bool = False) -> None:
        self._key = key
        self._key_mask = key_mask(key)
        self._counts = counts
        self._nothing_to_clean = nothing_to_clean
        self._texts = 0

    def number(self, kind: type[int] | type[float]) -> Callable[[str], int | float | str]:
        """Return a function that reads a number; one beyond the range of a double stays a text."""

        def read(digits: str) -> int | float | str:
            if math.isfinite(float(digits)):
                return kind(digits)
            self._counts["numbers"] += 1
            return digits

        return read

    def members(self, pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        """Return an object's members: each with its own name, the values cleaned."""
        members: dict[str, JsonValue] = dict(pairs)
        if self._nothing_to_clean and len(members) == len(pairs):
            return members
        names = [self.text(name) for name, _ in pairs]
        # Of equal names the last stays, as in other parsers, if possible one that was not changed.
        keeps = {name: index for index, name in enumerate(names)}
        if len(keeps) < len(names):
            keeps |= {name: index for index, (name, _) in enumerate(pairs) if name == names[index]}
            used, counts = set(keeps), Counter[str]()
            for index, name in enumerate(names):
                while names[index] in used and keeps.get(names[index]) != index:
                    counts[name] += 1
                    names[index] = f"{name} ({counts[name] + 1})"
                used.add(names[index])
            self._counts["names"] += len(names) - len(keeps)
        return {name: self.value(value) for name, (_, value) in zip(names, pairs, strict=True)}

    def value(self, value: JsonValue) -> JsonValue:
        """Clean a value of an object; objects in it are cleaned already."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(member) for member in value]
        if self._key.isdigit() and isinstance(value, int | float) and self._key in f"{value} {value:.0f}":
            self._counts["key"] += 1
            return MASK
        return value

    def text(self, text: str) -> str:
        """Clean a text."""
        self._texts += 1
        if self._texts % 1_000 == 0:
            stop_if_cancelled()
        if self._nothing_to_clean or (text.isascii() and text not in self._key_mask):
            return text
        if not text.isascii():
            text, surrogates = _lone_surrogate.subn("\ufffd", text)
            text, tags = replace_tags(text)
            self._counts["surrogates"] += surrogates
            self._counts["tags"] += tags
        text, keys = self._key_mask.sub(text)
        self._counts["key"] += keys
        return text


def stop_if_cancelled() -> None:
    """In a worker thread, raise if the task that waits for the thread was cancelled."""
    with suppress(NoEventLoopError):  # not in a worker thread
        from_thread.check_cancelled()


def refuse_constant(name: str) -> None:
    """Refuse ``NaN`` and the like, which are not JSON."""
    raise ValueError(name)


def type_name(value: object) -> str:
    """Return the name of a JSON value's type."""
    names = {type(None): "null", bool: "true or false", list: "a list", dict: "an object", str: "text"}
    return names.get(type(value), "a number")
