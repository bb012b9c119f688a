"""Edits JSON with comments and trailing commas, by the position of every value in the text.

The standard library parses a copy of the text in which comments and trailing commas are blank, so that all positions
are the same in both.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\r\n]*")
_SPACES = " \t\r\n"
_DECODER = json.JSONDecoder()
# A line comment ends at the end of its line; hosts differ on other line breaks in it, so these are invalid.
_COMMENT = re.compile(
    r"""
    (?P<string> "(?: [^"\\\r\n] | \\. )*" )
    | //[^\r\n\u2028\u2029]* (?=\r?\n|\Z)
    | /\*.*?\*/
    | (?P<invalid> ["/].* )
    """,
    re.VERBOSE | re.DOTALL,
)
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*"|[\[{,:]\s*,)|,(?=\s*[}\]])')
_FIRST_INDENT = re.compile(r'^([ \t]+)"', re.MULTILINE)
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object begins, where its value begins, where both end, and where its comma is."""

    start: int
    value: int
    end: int
    comma: int | None


class JsonDocument:
    """A parsed text. Edits return a new text.

    Attributes:
        content: The value of the text as a Python object. An object in which a key appears twice is a list of pairs.
    """

    def __init__(self, text: str, eol: str) -> None:
        """Parse the text. Raise ValueError if it is not JSON; its message names the line if that is known."""
        self._text, self._eol = text, eol
        self._uncommented = _COMMENT.sub(_blank, text)
        self._plain = _TRAILING_COMMA.sub(lambda match: match[1] or " ", self._uncommented)
        self._is_blank = not self._plain.strip()
        self.content: Any = (
            {} if self._is_blank else json.loads(self._plain, object_pairs_hook=_to_object, parse_constant=_refuse)
        )

    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with a new entry at the end of its container."""
        text = self._text
        if self._is_blank:
            comments = text + self._eol if text.strip() else ""
            return JsonDocument(f"{comments}{{}}{self._eol}", self._eol).add(path, value)
        start, close, members, (key, *inner) = self._container(path)
        for name in reversed(inner):
            value = {name: value}
        last = list(members.values())[-1] if members else None
        has_lines = "\n" in text[last.end : close] if last else not start or "\n" in text[:close]
        entry = self._dump({key: value}, start if has_lines else None)[1:-1].rstrip(_SPACES)
        end = len(text[:close].rstrip(_SPACES))  # after the last comma and comment
        before, after = text[:end], text[end:]
        if last and last.comma is None:
            before = f"{text[: last.end]},{text[last.end : end]}"
        elif last:
            entry += ","
        if not has_lines:
            return before + (" " if last else "") + entry + after
        return before + entry + ("" if "\n" in text[end:close] else self._line_break(start)) + after

    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with another value for the existing entry."""
        _, _, members, (key,) = self._container(path)
        entry = members[key]
        has_lines = "\n" in self._text[entry.value : entry.end]
        written = self._dump(value, entry.start if has_lines else None)
        return self._text[: entry.value] + written + self._text[entry.end :]

    def remove(self, path: Sequence[str]) -> str:
        """Return the text without the existing entry."""
        text = self._text
        _, _, members, (key,) = self._container(path)
        entry = members[key]
        before, after = text[: entry.start], text[entry.end :]
        if entry.comma is not None:
            after = text[entry.end : entry.comma] + text[entry.comma + 1 :]
        elif len(members) > 1:
            comma = list(members.values())[-2].comma or 0
            before = text[:comma] + text[comma + 1 : entry.start]
        stripped = before.rstrip(_SPACES)
        # What follows in the same line must not become a part of a comment in an earlier line.
        if "\n" not in before[len(stripped) :] or _REST_OF_LINE.match(after):
            before = stripped
        return before + after

    def _container(self, path: Sequence[str]) -> tuple[int, int, dict[str, _Member], Sequence[str]]:
        """Return where the innermost existing object on the path begins and ends, its members, and the keys in it."""
        start = self._skip(0)
        while True:
            members, close = self._members(start)
            if path[0] not in members or len(path) == 1:
                return start, close, members, path
            start, path = members[path[0]].value, path[1:]

    def _members(self, start: int) -> tuple[dict[str, _Member], int]:
        """Return the members of the object that begins at ``start``, and the position of its closing brace."""
        members, position = dict[str, _Member](), self._skip(start + 1)
        while self._uncommented[position] != "}":
            key, end = _DECODER.raw_decode(self._plain, position)
            value = self._skip(self._skip(end) + 1)  # after the colon
            _, end = _DECODER.raw_decode(self._plain, value)
            after = self._skip(end)
            comma = after if self._uncommented[after] == "," else None
            members[key] = _Member(position, value, end, comma)
            position = after if comma is None else self._skip(comma + 1)
        return members, position

    def _skip(self, position: int) -> int:
        """Return the position of the next character that is not white space or a comment."""
        return _SPACE.match(self._uncommented, position).end()  # type: ignore[union-attr]  # it matches anything

    def _dump(self, value: Mapping[str, Any], position: int | None) -> str:
        """Return the value in lines that are indented like the line of ``position``, or in one line if it is None."""
        if position is None:
            return json.dumps(value, ensure_ascii=False)
        unit = _FIRST_INDENT.search(self._text)
        written = json.dumps(value, ensure_ascii=False, indent=unit[1] if unit else "  ")
        return written.replace("\n", self._line_break(position))

    def _line_break(self, position: int) -> str:
        """Return a line break and the indentation of the line of ``position``."""
        line = self._text[self._text.rfind("\n", 0, position) + 1 :]
        return self._eol + line[: len(line) - len(line.lstrip(" \t"))]


def _blank(match: re.Match[str]) -> str:
    """Return spaces for a comment, and a character that the parser refuses for what is invalid."""
    return match["string"] or ("\0" if match["invalid"] else re.sub(r"[^\n]", " ", match[0]))


def _to_object(pairs: list[tuple[str, Any]]) -> Any:
    content = dict(pairs)
    return content if len(content) == len(pairs) else pairs


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
