"""Strict and bounded reading of the API's JSON.

The value is what the API sent, with numbers as doubles. What can't be passed on as valid UTF-8 JSON, and text that is
hidden from people, is replaced, and a note is added for each kind of change.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from callers_mcp.api.errors import Advice, UnexpectedResponse
from callers_mcp.sanitize import replace_tags, sanitize, strip_invisible
from callers_mcp.settings import variable

MAX_DEPTH = 100
"""Levels of nesting, including the outermost object."""

MAX_ELEMENT_CHARACTERS = 131_072
"""The longest element of a list that is read completely."""

MASK = "[API key]"

_ADVICE = Advice(
    f"Trying again will probably not help: the operator checks {variable('base_url')}, or asks Callers.",
    f"Trying again will probably not help: check {variable('base_url')}, or ask Callers.",
)
_MAX_PLAIN_CHARACTERS = 1_000
_TYPE_BY_FIRST_CHARACTER = {
    "{": "an object",
    '"': "text",
    "t": "true or false",
    "f": "true or false",
    "n": "null",
} | dict.fromkeys("-0123456789", "a number")
_MAX_SAFE_DIGITS = 308  # more may be beyond the range of a double
_lone_surrogate = re.compile("[\ud800-\udfff]")
_space = re.compile(r"[ \t\n\r]*")
_brackets = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)

_NOTES = {
    "bytes": "In raw, bytes that were not UTF-8 became U+FFFD.",
    "surrogates": "In raw, a lone surrogate became U+FFFD.",
    "tags": "In raw, invisible Unicode tag characters, which can hide instructions from people, became U+FFFD.",
    "numbers": "In raw, a number beyond the range of a double stands as a string.",
    "names": "In raw, fields of the same name were given a number.",
    "key": f"The API's answer held the API key; in raw it stands as {MASK}.",
}


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
        UnexpectedResponse: Not JSON (including ``NaN``), not an object, or nested deeper than ``MAX_DEPTH``.
    """
    counts: Counter[str] = Counter()
    text = _decode_utf8(body, counts)
    try:
        content = _decoder(counts).decode(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _not_json() from None
    if not isinstance(content, dict):
        raise UnexpectedResponse(f"The API answered with {type_name(content)} instead of a campaign.", _ADVICE)
    return _document(content, text, key, counts)


def read_objects(body: bytes, *, key: str) -> Iterator[Document]:
    """Read ``body`` as a JSON array of objects, one at a time, so that the caller can pause between them.

    Each object is read like in ``read_object``. Any other element becomes an empty object. An element that is longer
    than ``MAX_ELEMENT_CHARACTERS``, which would block the event loop for too long, or nested deeper than ``MAX_DEPTH``,
    keeps only its plain fields.

    Raises:
        UnexpectedResponse: Not JSON (including ``NaN``), not an array, or an element is nested too deeply and is also
            longer than ``MAX_ELEMENT_CHARACTERS``.
    """
    counts: Counter[str] = Counter()
    text = _decode_utf8(body, counts)
    decoder = _decoder(counts)
    try:
        index = _after_space(text, 0)
        if text[index : index + 1] != "[":
            # Only the first character is read: reading the whole body would block the event loop.
            kind = _TYPE_BY_FIRST_CHARACTER.get(text[index : index + 1])
            if kind is None:
                raise _not_json()
            raise UnexpectedResponse(f"The API answered with {kind} instead of a list of campaigns.", _ADVICE)
        index = _after_space(text, index + 1)
        has_more = text[index : index + 1] != "]"
        while has_more:
            try:
                content, end = _element(text, index, decoder)
            except RecursionError:
                content, end = None, _element_end(text, index)
            yield _element_document(content if isinstance(content, dict) else {}, text[index:end], key, counts)
            counts.clear()
            index = _after_space(text, end)
            has_more = text[index : index + 1] == ","
            if has_more:
                index = _after_space(text, index + 1)
        if text[index : index + 1] != "]" or _after_space(text, index + 1) != len(text):
            raise _not_json()
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _not_json() from None


def _element(text: str, index: int, decoder: json.JSONDecoder) -> tuple[JsonValue, int]:
    """Read the element that starts at ``index``; return it and the index of its end."""
    for window in (8_192, MAX_ELEMENT_CHARACTERS):
        part = text[index : index + window]
        try:
            content, length = decoder.raw_decode(part)
        except ValueError:
            if len(part) < window:
                raise
            continue
        if length < len(part) or len(part) < window:  # otherwise it may continue after the window
            return content, index + length
    content, end = _lenient_decoder.raw_decode(text, index)
    return _plain_fields(content) if isinstance(content, dict) else None, end


def _element_end(text: str, index: int) -> int:
    """Return the end of the element at ``index``, which is nested deeper than the decoder supports."""
    depth = 0
    for token in _brackets.finditer(text, index, index + MAX_ELEMENT_CHARACTERS):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    raise _too_deep()


def _element_document(content: dict[str, JsonValue], text: str, key: str, counts: Counter[str]) -> Document:
    try:
        return _document(content, text, key, counts)
    except UnexpectedResponse:  # too deep
        return _document(_plain_fields(content), text, key, counts)


def _plain_fields(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in content.items() if _is_short(name) and _is_short(value)}


def _is_short(value: object) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= _MAX_PLAIN_CHARACTERS)


def _decode_utf8(body: bytes, counts: Counter[str]) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        counts["bytes"] += 1
        return body.decode("utf-8-sig", "replace")


def _decoder(counts: Counter[str]) -> json.JSONDecoder:
    """Return a decoder that counts its changes in ``counts``."""

    def parse_int(digits: str) -> int | str:
        if len(digits) <= _MAX_SAFE_DIGITS or math.isfinite(float(digits)):
            return int(digits)
        counts["numbers"] += 1
        return digits

    def parse_float(digits: str) -> float | str:
        number = float(digits)
        if math.isfinite(number):
            return number
        counts["numbers"] += 1
        return digits

    def unique_members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        unique = dict(pairs)
        if len(unique) < len(pairs):
            # As in other parsers, the last field keeps the name; the others get a number.
            counts["names"] += 1
            last = {name: index for index, (name, _) in enumerate(pairs)}
            names = _UniqueNames(unique)
            for index, (name, value) in enumerate(pairs):
                if last[name] != index:
                    unique[names.unused(name)] = value
        return unique

    return json.JSONDecoder(
        parse_int=parse_int, parse_float=parse_float, parse_constant=_refuse_constant, object_pairs_hook=unique_members
    )


def _document(content: dict[str, JsonValue], text: str, key: str, counts: Counter[str]) -> Document:
    """Return ``content``, which was read from ``text``, as a document that can be passed on."""
    # Nearly all answers have no escapes, no tags, no key and few brackets. They need no second check.
    if (
        "\\" in text
        or (key and key.lower() in text.lower())
        or key.isdigit()  # a number in any notation may be the key
        or text.count("{") + text.count("[") > MAX_DEPTH
        or (not text.isascii() and (replace_tags(text)[1] or key.lower() in strip_invisible(text).lower()))
    ):
        content = _Sanitizer(key, counts).sanitize_object(content, 1)
    return Document(content, tuple(sentence for kind, sentence in _NOTES.items() if counts[kind]))


def _after_space(text: str, index: int) -> int:
    return _space.match(text, index).end()  # type: ignore[union-attr]  # it also matches an empty text


class _Sanitizer:
    """Walks through a value and replaces what must not be passed on."""

    def __init__(self, key: str, counts: Counter[str]) -> None:
        self._key = key
        self._key_pattern = re.compile(re.escape(key) if key else "(?!)", re.IGNORECASE)
        self._counts = counts

    def sanitize_object(self, value: dict[str, JsonValue], depth: int) -> dict[str, JsonValue]:
        sanitized: dict[str, JsonValue] = {}
        names = _UniqueNames(value)
        for name, member in value.items():
            new_name = self._sanitize_text(name)
            if new_name in sanitized or (new_name != name and new_name in value):
                self._counts["names"] += 1
                new_name = names.unused(new_name)
            sanitized[new_name] = self._sanitize_value(member, depth + 1)
        return sanitized

    def _sanitize_value(self, value: JsonValue, depth: int) -> JsonValue:
        if isinstance(value, str):
            return self._sanitize_text(value)
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise _too_deep()
            if isinstance(value, dict):
                return self.sanitize_object(value, depth)
            return [self._sanitize_value(member, depth + 1) for member in value]
        if self._key.isdigit() and isinstance(value, int | float) and self._key in f"{value} {value:.0f}":
            self._counts["key"] += 1
            return MASK
        return value

    def _sanitize_text(self, text: str) -> str:
        if not text.isascii():
            text, surrogates = _lone_surrogate.subn("\ufffd", text)
            self._counts["surrogates"] += surrogates
            text, tags = replace_tags(text)
            self._counts["tags"] += tags
        # Case is ignored, as host names are shown in lower case. The cleaned text is searched too, as cleaning in a
        # summary can join the parts of a key.
        text, keys = self._key_pattern.subn(MASK, text)
        self._counts["key"] += keys
        if self._key_pattern.search(strip_invisible(text)):
            self._counts["key"] += 1
            text = self._key_pattern.sub(MASK, strip_invisible(text))
        return text


def mask(text: str, key: str) -> str:
    """Clean ``text`` and mask ``key`` in it. Call it before truncating, so that no part of the key is left."""
    if not key:
        return sanitize(text)
    pattern = re.compile(re.escape(key), re.IGNORECASE)
    masked = pattern.sub(MASK, sanitize(text))
    return pattern.sub(MASK, strip_invisible(masked)) if pattern.search(strip_invisible(masked)) else masked


class _UniqueNames:
    """Creates unused field names, without counting from the start for each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._used: Counter[str] = Counter()

    def unused(self, name: str) -> str:
        while True:
            self._used[name] += 1
            candidate = f"{name} ({self._used[name] + 1})"
            if candidate not in self._names:
                self._names.add(candidate)
                return candidate


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


# For elements that are too long to check each number.
_lenient_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def _not_json() -> UnexpectedResponse:
    return UnexpectedResponse("The API's answer is not JSON.", _ADVICE)


def _too_deep() -> UnexpectedResponse:
    return UnexpectedResponse(
        f"The API's answer is nested deeper than {MAX_DEPTH} levels, so it was not read.", _ADVICE
    )


def type_name(value: object) -> str:
    """Return the name of a JSON value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return "text" if isinstance(value, str) else "a number"
