"""Parses JSON5 into values, members and comments with their positions in the text."""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callers_mcp.install.formats import UnreadableConfig

if TYPE_CHECKING:
    from json5.tokenizer import JSON5Token

MAX_DEPTH = 200

_STRINGS = frozenset({"DOUBLE_QUOTE_STRING", "SINGLE_QUOTE_STRING"})
_WORDS = frozenset({"TRUE", "FALSE", "NULL", "INFINITY", "NAN"})
_NUMBERS = frozenset({"INTEGER", "FLOAT", "HEXADECIMAL", "INFINITY", "NAN"})

_BROKEN_STRING = re.compile(r"(?:[^\\\r\n]|\\\r\n|\\.)*[\r\n]", re.DOTALL)


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
    """Parses the tokens by the grammar of JSON with trailing commas."""

    def __init__(self, text: str) -> None:
        self.comments: list[JsonComment] = []
        self._text = text
        self._next = 0
        self._tokens = self._tokenize()

    def document(self) -> JsonValueNode | None:
        """Return the text's value, or None if the text is blank."""
        if not self._tokens:
            return None
        value = self._value(0)
        if self._next < len(self._tokens):
            raise self._syntax_error()
        return value

    def _tokenize(self) -> "list[JSON5Token]":
        from json5.tokenizer import tokenize

        tokens, end = [], 0
        try:
            for token in tokenize(self._text):
                end = token.end
                if token.type == "WHITESPACE":
                    continue
                if token.type not in ("LINE_COMMENT", "BLOCK_COMMENT"):
                    tokens.append(token)
                    continue
                to_line_end = token.type == "LINE_COMMENT"
                if to_line_end:
                    # The tokenizer ends a comment only at a line feed; hosts also end it at other line breaks.
                    end -= token.value.endswith("\r")
                    if len(self._text[token.index : end].splitlines()) > 1:
                        raise _unreadable(self._text, token.index)
                self.comments.append(JsonComment(token.index, end, to_line_end))
        except UnreadableConfig:
            raise
        except ValueError:
            raise _unreadable(self._text, end) from None
        return tokens

    def _syntax_error(self) -> UnreadableConfig:
        if self._next < len(self._tokens):
            return _unreadable(self._text, self._tokens[self._next].index)
        return UnreadableConfig("the file is not valid JSON: it ends too early")

    def _kind(self) -> str | None:
        return self._tokens[self._next].type if self._next < len(self._tokens) else None

    def _take(self, *kinds: str) -> "JSON5Token":
        if self._kind() not in kinds:
            raise self._syntax_error()
        self._next += 1
        return self._tokens[self._next - 1]

    def _value(self, depth: int) -> JsonValueNode:
        if depth > MAX_DEPTH:
            raise UnreadableConfig("the file is nested too deeply")
        kind = self._kind()
        if kind == "LBRACE":
            return self._object(depth)
        if kind == "LBRACKET":
            return self._array(depth)
        if kind in _STRINGS:
            token = self._string()
        elif kind in ("TRUE", "FALSE", "NULL"):
            token = self._take(kind)
        else:
            return self._number()
        return JsonValueNode(token.index, token.end)

    def _object(self, depth: int) -> JsonValueNode:
        start = self._take("LBRACE").index
        members: list[JsonMember] = []
        while self._kind() != "RBRACE":
            key = self._string() if self._kind() in _STRINGS else self._take("NAME", *_WORDS)
            self._take("COLON")
            members.append(JsonMember(_key(key.value), key.index, self._value(depth + 1)))
            if self._kind() != "COMMA":
                break
            members[-1].comma = self._take("COMMA").index
        return JsonValueNode(start, self._take("RBRACE").end, members=members)

    def _array(self, depth: int) -> JsonValueNode:
        start = self._take("LBRACKET").index
        items: list[JsonValueNode] = []
        while self._kind() != "RBRACKET":
            items.append(self._value(depth + 1))
            if self._kind() != "COMMA":
                break
            self._take("COMMA")
        return JsonValueNode(start, self._take("RBRACKET").end, items=items)

    def _string(self) -> "JSON5Token":
        token = self._tokens[self._next]
        if _BROKEN_STRING.match(token.value):
            raise self._syntax_error()
        return self._take(*_STRINGS)

    def _number(self) -> JsonValueNode:
        start = end = self._tokens[self._next].index if self._kind() else 0
        if self._kind() in ("PLUS", "MINUS"):
            end = self._take("PLUS", "MINUS").end
        number = self._take(*_NUMBERS)
        if number.index != end:
            raise _unreadable(self._text, number.index)
        end = number.end
        if self._kind() == "EXPONENT" and number.type in ("INTEGER", "FLOAT"):
            exponent = self._take("EXPONENT")
            if exponent.index != end:
                raise _unreadable(self._text, exponent.index)
            end = exponent.end
        return JsonValueNode(start, end)


def _key(raw: str) -> str:
    key = decode_scalar(raw if raw[0] in "\"'" else f'"{raw}"')
    assert isinstance(key, str)  # noqa: S101
    return key


def _unreadable(text: str, position: int) -> UnreadableConfig:
    line = text.count("\n", 0, position) + 1
    return UnreadableConfig(f"the file is not valid JSON at line {line}")


def decode_scalar(raw: str) -> Any:
    """Return the Python value of a string, number, boolean or null."""
    try:
        return json.loads(raw, strict=False)
    except ValueError:
        import json5

        try:
            return json5.loads(raw)
        except ValueError:
            raise UnreadableConfig("the file contains a value that is not valid JSON") from None
