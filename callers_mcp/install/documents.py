"""Edits of a host's configuration, text to text: one entry comes, changes or goes, all else keeps its bytes.

An edit is a splice of the text where the format's reader found the entry; nothing is written anew but the entry itself.
Adding follows the document (its indentation, its line endings, its trailing commas), and removing takes away exactly
what adding wrote, so that one undoes the other. What can't be told apart afterwards is in ``remove_entry``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from callers_mcp.install.formats import Format, UnreadableConfig

BOM = "\ufeff"


class _Document(Protocol):
    """A text as read in its format; making one raises UnreadableConfig where the text is not readable."""

    def get(self, path: Sequence[str]) -> Any: ...
    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def remove(self, path: Sequence[str]) -> str: ...
    def other_content(self, path: Sequence[str]) -> Any:
        """What the document means without the entry and the objects that hold nothing else: no edit changes it."""


def get_entry(text: str, format: Format, path: Sequence[str]) -> dict[str, Any] | None:  # noqa: A002
    """Read the entry.

    Args:
        text: The document; an empty one has no entry.
        format: How it is written.
        path: The keys that lead to the entry, its own name last.

    Returns:
        The object at the path, None where there is none.

    Raises:
        UnreadableConfig: The document is not readable, or something on the path is no object or is there twice.
    """
    return _entry(_document(text, format), path)


def set_entry(text: str, format: Format, path: Sequence[str], value: Mapping[str, Any]) -> str:  # noqa: A002
    """Add the entry at the end of its container, which is made where it is missing, or replace it where it stands.

    Args:
        text: The document; an empty one becomes a document with this entry alone.
        format: How it is written.
        path: The keys that lead to the entry, its own name last.
        value: What the entry is to be.

    Returns:
        The new text; the same text where the entry is this already.

    Raises:
        UnreadableConfig: As in ``entry``, or the edit would have changed something else.
    """
    document = _document(text, format)
    current = _entry(document, path)
    if current == value:
        return text
    edited = _bom(text) + (document.add(path, value) if current is None else document.replace(path, value))
    return _verify(document, edited, format, path, dict(value))


def remove_entry(text: str, format: Format, path: Sequence[str]) -> str:  # noqa: A002
    r"""Remove the entry: the exact inverse of adding it.

    A JSON container that holds nothing any more goes with the entry if there is white space between its braces, as
    where ``set_entry`` made it, and stays if it is ``{}``, which ``set_entry`` fills as ``{…}`` without a line break
    before the closing brace. So ``{}`` comes back as it was, a missing container is missing again, and an empty one
    written ``{\n}`` is the one that can't be told from a missing one. Where the whole document goes this way, what is
    left is blank: a host may refuse an empty file, so delete it.

    Args:
        text: The document.
        format: How it is written.
        path: The keys that lead to the entry, its own name last.

    Returns:
        The new text; the same text where there is no entry.

    Raises:
        UnreadableConfig: As in ``set_entry``.
    """
    document = _document(text, format)
    if _entry(document, path) is None:
        return text
    return _verify(document, _bom(text) + document.remove(path), format, path, None)


def _document(text: str, format: Format) -> _Document:  # noqa: A002
    # Each format's libraries are loaded only where one of its documents is read.
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
        raise UnreadableConfig(f"{'.'.join(path)} is no object")
    return value


def _verify(
    document: _Document,
    edited: str,
    format: Format,  # noqa: A002
    path: Sequence[str],
    value: dict[str, Any] | None,
) -> str:
    """Read the edited text again: it must hold what was meant, and all else as before."""
    try:
        result = _document(edited, format)
        is_verified = _entry(result, path) == value and result.other_content(path) == document.other_content(path)
    except UnreadableConfig:
        is_verified = False
    if not is_verified:
        raise UnreadableConfig(f"{'.'.join(path)} stands in the file in a way that can't be edited safely")
    return edited
