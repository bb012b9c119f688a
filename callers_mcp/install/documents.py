"""Edits the text of a host's configuration: adds, replaces or removes one entry; all other bytes stay.

An edit replaces only the part of the text where the format's reader found the entry. Adding follows the style of the
document (indentation, line endings, trailing commas). Removing takes away exactly what adding wrote, so that one
undoes the other; ``remove_entry`` describes the one exception.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from callers_mcp.install.formats import Format, UnreadableConfig

BOM = "\ufeff"


class _Document(Protocol):
    """A parsed text. The constructor raises UnreadableConfig if the text can't be parsed."""

    def get(self, path: Sequence[str]) -> Any: ...
    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def remove(self, path: Sequence[str]) -> str: ...
    def other_content(self, path: Sequence[str]) -> Any:
        """Return the content without the entry and without the objects that only contain it: no edit changes it."""


def get_entry(text: str, format: Format, path: Sequence[str]) -> dict[str, Any] | None:  # noqa: A002
    """Return the entry.

    Args:
        text: The document; an empty one has no entry.
        format: The document's format.
        path: The keys that lead to the entry, with its own name last.

    Returns:
        The object at the path, or None if there is none.

    Raises:
        UnreadableConfig: The document can't be parsed, or a value on the path is not an object or appears twice.
    """
    return _entry(_document(text, format), path)


def set_entry(text: str, format: Format, path: Sequence[str], value: Mapping[str, Any]) -> str:  # noqa: A002
    """Replace the entry in its position, or add it at the end of its container, which is created if it is missing.

    Args:
        text: The document; an empty one becomes a document with only this entry.
        format: The document's format.
        path: The keys that lead to the entry, with its own name last.
        value: The new entry.

    Returns:
        The new text; the same text if the entry already has this value.

    Raises:
        UnreadableConfig: As in ``get_entry``, or the edit would have changed something else.
    """
    document = _document(text, format)
    current = _entry(document, path)
    if current == value:
        return text
    edited = _bom(text) + (document.add(path, value) if current is None else document.replace(path, value))
    return _verify(document, edited, format, path, dict(value))


def remove_entry(text: str, format: Format, path: Sequence[str]) -> str:  # noqa: A002
    r"""Remove the entry: the exact inverse of adding it.

    If a JSON container becomes empty, the white space between its braces decides. ``set_entry`` writes white space
    there in a container that it creates, so such a container is removed with the entry. ``set_entry`` fills an existing
    ``{}`` as ``{…}`` without white space, so such a container becomes ``{}`` again. The one exception: a container
    that was empty and written as ``{\n}`` is removed, because it looks like a created one.

    If nothing of the document remains, the result is blank. Delete the file then, because a host may refuse an empty
    one.

    Args:
        text: The document.
        format: The document's format.
        path: The keys that lead to the entry, with its own name last.

    Returns:
        The new text; the same text if there is no entry.

    Raises:
        UnreadableConfig: As in ``set_entry``.
    """
    document = _document(text, format)
    if _entry(document, path) is None:
        return text
    return _verify(document, _bom(text) + document.remove(path), format, path, None)


def _document(text: str, format: Format) -> _Document:  # noqa: A002
    # The libraries of a format are imported only if a document has this format.
    text = text.removeprefix(BOM)
    try:
        if format is Format.TOML:
            from callers_mcp.install.toml_document import TomlDocument

            return TomlDocument(text)
        from callers_mcp.install.json_document import JsonDocument

        return JsonDocument(text)
    except RecursionError:
        raise UnreadableConfig("the file is nested too deeply") from None


def _bom(text: str) -> str:
    return BOM if text.startswith(BOM) else ""


def _entry(document: _Document, path: Sequence[str]) -> dict[str, Any] | None:
    value = document.get(path)
    if value is not None and not isinstance(value, dict):
        raise UnreadableConfig(f"{'.'.join(path)} is not an object")
    return value


def _verify(
    document: _Document,
    edited: str,
    format: Format,  # noqa: A002
    path: Sequence[str],
    value: dict[str, Any] | None,
) -> str:
    """Parse the edited text, and check that the entry has the new value and that all else is unchanged."""
    try:
        result = _document(edited, format)
        is_verified = _entry(result, path) == value and result.other_content(path) == document.other_content(path)
    except UnreadableConfig:
        is_verified = False
    if not is_verified:
        raise UnreadableConfig(f"{'.'.join(path)} can't be edited safely in this file")
    return edited
