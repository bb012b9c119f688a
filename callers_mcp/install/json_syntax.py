"""Parses JSON with comments and trailing commas into values, members and comments with their positions in the text."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from callers_mcp.install.formats import UnreadableConfig

MAX_DEPTH = 200

# A comment to the line's end that contains any other line break matches nothing: hosts differ on where it ends.
_TOKEN = re.compile(
    r"""
    [ \t\r\n]+
    | (?P<line_comment> //[^\r\n\u2028\u2029]* (?=\r?\n|\Z) )
    | (?P<block_comment> /\*.*?\*/ )
    | (?P<string> "(?: [^"\\\r\n] | \\["\\/bfnrt] | \\u[0-9a-fA-F]{4} )*" )
    | (?P<scalar> (?: true | false | null | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? ) (?![\w.+-]) )
    | (?P<mark> [{}\[\]:,] )
    | (?P<invalid> . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class JsonValueNode:
    """A value. An object has ``members``, an array has ``items``, other values have neither."""

    start: int
    end: int
    members: "list[JsonMember] | None" = None
    items: "list[JsonValueNode] | None" = None


@dataclass(slots=True)
class JsonMember:
    """A key and its value."""

    key: str
    start: int
    value: JsonValueNode
    comma: int | None = None
    """The position of the comma after it, or None."""


@dataclass(frozen=True, slots=True)
class JsonComment:
    """A comment. If ``to_line_end`` is true, a line break must follow it."""

    start: int
    end: int
    to_line_end: bool


class JsonReader:
    """Parses a text. ``comments`` is complete after ``document`` has returned."""

    def __init__(self, text: str) -> None:
        self.comments: list[JsonComment] = []
        self._text = text
        self._tokens = self._scan()

    def document(self) -> JsonValueNode | None:
        """Return the text's value, or None if the text has none: it is blank or only has comments."""
        first = next(self._tokens, None)
        if first is None:
            return None
        value = self._value(first, 0)
        for token in self._tokens:
            raise self._syntax_error(token)
        return value

    def _scan(self) -> Iterator[re.Match[str]]:
        for token in _TOKEN.finditer(self._text):
            kind = token.lastgroup
            if kind in ("line_comment", "block_comment"):
                self.comments.append(JsonComment(token.start(), token.end(), kind == "line_comment"))
            elif kind == "invalid":
                raise self._syntax_error(token)
            elif kind is not None:
                yield token

    def _syntax_error(self, token: re.Match[str]) -> UnreadableConfig:
        line = self._text.count("\n", 0, token.start()) + 1
        return UnreadableConfig(
            f"line {line} is not valid JSON (comments and trailing commas are allowed, JSON5 is not)"
        )

    def _take(self, *marks: str) -> re.Match[str]:
        """Return the next token, which must be one of the marks if any are given."""
        token = next(self._tokens, None)
        if token is None:
            raise UnreadableConfig("the file is not valid JSON: it ends too early")
        if marks and token[0] not in marks:
            raise self._syntax_error(token)
        return token

    def _value(self, first: re.Match[str], depth: int) -> JsonValueNode:
        if depth > MAX_DEPTH:
            raise UnreadableConfig("the file is nested too deeply")
        if first[0] == "{":
            return self._object(first.start(), depth)
        if first[0] == "[":
            return self._array(first.start(), depth)
        if first.lastgroup == "mark":
            raise self._syntax_error(first)
        return JsonValueNode(first.start(), first.end())

    def _object(self, start: int, depth: int) -> JsonValueNode:
        members: list[JsonMember] = []
        while (token := self._take())[0] != "}":
            if token.lastgroup != "string":
                raise self._syntax_error(token)
            self._take(":")
            member = JsonMember(decode_scalar(token[0]), token.start(), self._value(self._take(), depth + 1))
            members.append(member)
            token = self._take(",", "}")
            if token[0] == "}":
                break
            member.comma = token.start()
        return JsonValueNode(start, token.end(), members=members)

    def _array(self, start: int, depth: int) -> JsonValueNode:
        items: list[JsonValueNode] = []
        while (token := self._take())[0] != "]":
            items.append(self._value(token, depth + 1))
            token = self._take(",", "]")
            if token[0] == "]":
                break
        return JsonValueNode(start, token.end(), items=items)


def decode_scalar(raw: str) -> Any:
    """Return the Python value of a string, number, boolean or null."""
    try:
        return json.loads(raw, strict=False)
    except ValueError:  # Python limits the digits of an integer.
        raise UnreadableConfig("the file contains a number that is too long") from None
