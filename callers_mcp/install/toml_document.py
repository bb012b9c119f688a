"""Edits TOML by lines: an entry is the table with its name, and the tables in it.

The standard library parses the text, and tomlkit writes the entry. tomlkit's own document is not used: it attaches the
comments after a table to that table, so that removing the table would remove them.
"""

import io
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any


class TomlDocument:
    """A parsed text. Edits return a new text.

    An entry in another form, such as an inline table, is not found or leads to an invalid result; both are a
    ValueError or are noticed by ``documents``.

    Attributes:
        content: The content of the text.
    """

    def __init__(self, text: str, eol: str) -> None:
        """Parse the text. Raise ValueError if it is not TOML."""
        self.content = tomllib.loads(text)
        self._eol = eol
        self._lines = list(io.StringIO(text, newline="\n"))

    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with a new entry at its end."""
        text = "".join(self._lines)
        if text and not text.endswith("\n"):
            text += self._eol
        return text + (self._eol if text else "") + self._table(path, value)

    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with another value for the existing entry."""
        start, end = self._span(path)
        return "".join([*self._lines[:start], self._table(path, value), *self._lines[end:]])

    def remove(self, path: Sequence[str]) -> str:
        """Return the text without the existing entry and a blank line before it."""
        start, end = self._span(path)
        if start and not self._lines[start - 1].strip():
            start -= 1
        return "".join(self._lines[:start] + self._lines[end:])

    def _span(self, path: Sequence[str]) -> tuple[int, int]:
        """Return the first line of the entry's tables, and the line after their last value: comments after it stay.

        Raises:
            ValueError: The entry is not a table.
        """
        headers = [(number, header) for number, line in enumerate(self._lines) if (header := _header(line))]
        ours = [index for index, (_, header) in enumerate(headers) if header[: len(path)] == tuple(path)]
        if not ours:
            raise ValueError("the entry is not a table")
        end = headers[ours[-1] + 1][0] if ours[-1] + 1 < len(headers) else len(self._lines)
        while self._lines[end - 1].strip()[:1] in ("", "#"):
            end -= 1
        return headers[ours[0]][0], end

    def _table(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        import tomlkit

        for key in reversed(path):
            value = {key: value}
        return tomlkit.dumps(value).replace("\n", self._eol)


def _header(line: str) -> tuple[str, ...]:
    """Return the keys in the header of a table; none if the line is something else.

    A line in a string or an array may look like a header. An edit that takes it for one is refused by the check.
    """
    keys = list[str]()
    try:
        table: Any = tomllib.loads(line) if line.lstrip().startswith("[") else {}
    except tomllib.TOMLDecodeError:
        return ()
    while isinstance(table, dict) and table:
        ((key, table),) = table.items()
        keys.append(key)
    return tuple(keys)
