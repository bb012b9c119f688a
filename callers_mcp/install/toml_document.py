"""Edits TOML, by the position of every statement in the text.

The standard library parses the text, and tomlkit writes the entry. tomlkit's own document is not used: it attaches the
comments after a table to that table, so that removing the table would remove them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from callers_mcp.install.formats import UnreadableConfig

_TOKEN = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[\]{}=,\n]""", re.DOTALL
)
_LINE = re.compile(r"at line (\d+)")
_BLANK_LINE_AT_END = re.compile(r"(\A|\n)\r?\n\Z")
_LINE_ENDS_AT_END = re.compile(r"\r?\n\r?\n\Z")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A table header, or a key and its value, in whole lines."""

    start: int
    end: int
    path: tuple[str, ...]
    equals: int | None
    """The position where the value begins, or None for a header."""


class TomlDocument:
    """A parsed text. Edits return a new text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._content = _parse(text)
        self._eol = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"

    def get(self, path: Sequence[str]) -> Any:
        """Return the value at the path, or None if it is absent."""
        value: Any = self._content
        for depth, key in enumerate(path):
            if not isinstance(value, dict):
                raise UnreadableConfig(f"{'.'.join(path[:depth])} is not a table")
            if key not in value:
                return None
            value = value[key]
        return value

    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with a new entry: a table at the end, or the last item of an inline container."""
        inline = self._inline(path)
        if inline is not None:
            return self._add_inline(inline, path, value)
        text, table = self._text, self._table(path, value)
        if not text:
            return table
        if text.endswith("\n"):
            return text + self._eol + table
        return text + self._eol * 2 + table.removesuffix(self._eol)

    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with another value for the entry: in its position if it is a table, otherwise at the end."""
        groups = self._groups(path)
        if len(groups) == 1 and groups[0][0].equals is None:
            start, end = groups[0][0].start, groups[0][-1].end
            table = self._table(path, value)
            whole = table if self._text[start:end].endswith("\n") else table.removesuffix(self._eol)
            return self._text[:start] + whole + self._text[end:]
        return TomlDocument(self.remove(path)).add(path, value)

    def remove(self, path: Sequence[str]) -> str:
        """Return the text without the existing entry."""
        inline = self._inline(path)
        if inline is not None:
            return self._remove_inline(inline, path)
        text = self._text
        for group in reversed(self._groups(path)):
            before, after = text[: group[0].start], text[group[-1].end :]
            if group[0].equals is None:
                if not after and not text.endswith("\n"):
                    before = _LINE_ENDS_AT_END.sub("", before)
                else:
                    before = _BLANK_LINE_AT_END.sub(r"\1", before)
            text = before + after
        return text

    def other_content(self, path: Sequence[str]) -> Any:
        """Return the content without the entry and without the tables that only contain it."""
        return _without(_parse(self._text, parse_float=str), path)

    def _table(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        import tomlkit

        content: Mapping[str, Any] = value
        for key in reversed(path):
            content = {key: content}
        return tomlkit.dumps(content).replace("\n", self._eol)

    @cached_property
    def _statements(self) -> list[_Statement]:
        return list(self._read())

    def _read(self) -> Iterator[_Statement]:
        text, table = self._text, tuple[str, ...]()
        for start, end, equals in self._lines():
            if equals is None:
                table = _path(text[start:end])
                yield _Statement(start, end, table, None)
            else:
                yield _Statement(start, end, table + _path(f"{text[start:equals]}=0"), equals + 1)

    def _lines(self) -> Iterator[tuple[int, int, int | None]]:
        """Return where each statement begins and ends, and the position of its equals sign."""
        text, start, depth, equals = self._text, 0, 0, None
        for token in _TOKEN.finditer(text + "\n"):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            if depth:
                continue
            if token[0] == "=" and equals is None:
                equals = token.start()
            elif token[0] == "\n":
                content = text[start : token.end()].lstrip()
                if content and not content.startswith("#"):
                    yield start, min(token.end(), len(text)), equals
                start, equals = token.end(), None

    def _groups(self, path: Sequence[str]) -> list[list[_Statement]]:
        """Return the entry's statements, grouped into runs of adjacent ones."""
        size, name = len(path), tuple(path)
        runs = groupby(self._statements, key=lambda statement: statement.path[:size] == name)
        return [list(run) for is_in_entry, run in runs if is_in_entry]

    def _inline(self, path: Sequence[str]) -> _Statement | None:
        """Return the statement whose value is an inline table on the path to the entry, or None."""
        for statement in self._statements:
            size = len(statement.path)
            if statement.equals is not None and size < len(path) and statement.path == tuple(path[:size]):
                return statement
        return None

    def _items(self, statement: _Statement) -> list[tuple[int, int]]:
        """Return where the inline table's items begin and end, with white space; the last one may be blank."""
        items, depth, start = list[tuple[int, int]](), 0, 0
        for token in _TOKEN.finditer(self._text, statement.equals or 0, statement.end):
            if token[0] in "]}":
                depth -= 1
            if (token[0] == "," and depth == 1) or (token[0] == "}" and not depth):
                items.append((start, token.start()))
            if token[0] in "[{":
                depth += 1
            if depth == 1 and token[0] in "{,":
                start = token.end()
        return items

    def _add_inline(self, statement: _Statement, path: Sequence[str], value: Mapping[str, Any]) -> str:
        import tomlkit

        for key in reversed(path[len(statement.path) + 1 :]):
            value = {key: value}
        table = tomlkit.inline_table()
        table.update(value)
        start, end = self._items(statement)[-1]
        content = self._text[start:end].rstrip()
        position = start + len(content)
        item = f"{tomlkit.key(path[len(statement.path)]).as_string()} = {table.as_string()}"
        return self._text[:position] + (", " if content else "") + item + self._text[position:]

    def _remove_inline(self, statement: _Statement, path: Sequence[str]) -> str:
        text, items = self._text, self._items(statement)
        for index in reversed(range(len(items))):
            start, end = items[index]
            item = text[start:end]
            keys = statement.path + _path(_key_part(item) + "=0")
            if keys[: len(path)] != tuple(path):
                continue
            if index:
                text = text[: start - 1] + text[start + len(item.rstrip()) :]
            elif len(items) > 1:
                text = text[:start] + text[end + 1 :]
            else:
                text = text[:start] + text[start + len(item.rstrip()) :]
        return text


def _parse(text: str, **options: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(text, **options)
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        where = f" {line[0]}" if line else ": it ends too early"
        raise UnreadableConfig(f"the file is not valid TOML{where}") from None


def _path(statement: str) -> tuple[str, ...]:
    """Return the keys in a header, or in a key with any value."""
    keys, value = [], tomllib.loads(statement)
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        keys.append(key)
    return tuple(keys)


def _key_part(item: str) -> str:
    equals = next((token.start() for token in _TOKEN.finditer(item) if token[0] == "="), len(item))
    return item[:equals].strip()


def _without(content: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    others = dict(content)
    inner = others.pop(path[0], None)
    if len(path) > 1 and inner is not None:
        rest = _without(inner, path[1:]) if isinstance(inner, dict) else inner
        if rest:
            others[path[0]] = rest
    return others
