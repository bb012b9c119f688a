"""Edits the text of a host's configuration: adds, replaces or removes one entry; all other text stays, byte for byte.

The editor of each format finds the entry and changes the text. This module proves every edit before it returns it: the
entry has its new value, all other values are the same, and so is all text outside the entry.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from callers_mcp.install.json_document import JsonDocument
from callers_mcp.install.toml_document import TomlDocument

_BOM = "\ufeff"


Format = Literal["json", "toml"]
"""The format of a configuration. JSON may have comments and trailing commas."""


class UnreadableConfig(ValueError):
    """The configuration can't be edited safely. The message quotes none of its content except keys of the path."""


def get_entry(text: str, syntax: Format, path: Sequence[str]) -> dict[str, Any] | None:
    """Return the entry.

    Args:
        text: The document; an empty one has no entry.
        syntax: The document's format.
        path: The keys that lead to the entry, with its own name last.

    Returns:
        The object at the path, or None if there is none.

    Raises:
        UnreadableConfig: The document can't be parsed, or a value on the path is not an object or has a key twice.
    """
    return _entry(_parse(text, syntax).content, path)


def set_entry(text: str, syntax: Format, path: Sequence[str], value: Mapping[str, Any] | None) -> str:
    """Replace the entry in its position, add it at the end of its container, or remove it; prove that all else stays.

    Args:
        text: The document; an empty one becomes a document with only this entry.
        syntax: The document's format.
        path: The keys that lead to the entry, with its own name last. A missing container is created; one that becomes
            empty stays.
        value: The new entry, or None to remove the present one.

    Returns:
        The new text; the same text if the entry already has this value.

    Raises:
        UnreadableConfig: As in ``get_entry``, or the edit would change something else.
    """
    document = _parse(text, syntax)
    current = _entry(document.content, path)
    if current == value:
        return text
    bom = _BOM if text.startswith(_BOM) else ""
    try:
        if current is None and value is not None:
            without, edited = text, bom + document.add(path, value)
        else:
            without = bom + document.remove(path)
            edited = without if value is None else bom + document.replace(path, value)
        result = _parse(edited, syntax)
        is_proven = (
            _inserts_only(without, text)
            and (value is None or _inserts_only(without, edited))
            and _entry(result.content, path) == value
            # The texts are compared because NaN is not equal to itself, and because they show the order.
            and repr(_others(result.content, path)) == repr(_others(document.content, path))
        )
    except (ValueError, RecursionError):
        is_proven = False
    if not is_proven:
        raise UnreadableConfig(f"{'.'.join(path)} can't be edited safely in this file")
    return edited


def _parse(text: str, syntax: Format) -> JsonDocument | TomlDocument:
    eol = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    editor = TomlDocument if syntax == "toml" else JsonDocument
    try:
        return editor(text.removeprefix(_BOM), eol)
    except RecursionError:
        raise UnreadableConfig("the file is nested too deeply") from None
    except ValueError as error:
        line = re.search(r"line \d+", str(error))
        hint = " (comments and trailing commas are allowed, JSON5 is not)" if syntax == "json" else ""
        raise UnreadableConfig(f"{line[0] if line else 'it'} is not valid {syntax.upper()}{hint}") from None


def _entry(content: Any, path: Sequence[str], name: str = "") -> dict[str, Any] | None:
    if not isinstance(content, dict):
        raise UnreadableConfig(f"{name or 'the file'} is not an object, or has a key twice")
    if not path:
        return content
    key, *rest = path
    return _entry(content[key], rest, f"{name}.{key}".lstrip(".")) if key in content else None


def _inserts_only(part: str, whole: str) -> bool:
    """Return whether ``whole`` is ``part`` with text inserted in one place, or in two: a comma and an entry."""
    start = _common(part, whole)
    part, whole = part[start:], whole[start:]
    end = _common(part[::-1], whole[::-1])
    return part[: len(part) - end] in whole[: len(whole) - end]


def _common(first: str, second: str) -> int:
    """Return the number of characters that are the same at the start of both."""
    lengths = range(min(len(first), len(second)))
    return bisect_left(lengths, True, key=lambda length: first[: length + 1] != second[: length + 1])


def _others(content: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return the content without the entry, and without a container that has nothing else."""
    key, *rest = path
    inner = _others(content[key], rest) if rest and key in content else {}
    return {name: value for name, value in content.items() if name != key} | ({key: inner} if inner else {})
