"""Edits of a host's configuration, text to text: one entry comes, changes or goes, all else keeps its bytes.

An edit is a splice of the text where the format's reader found the entry; nothing is written anew but the entry itself.
Adding follows the document (its indentation, its line endings, its trailing commas), and removing takes away exactly
what adding wrote, so that one undoes the other. What can't be told apart afterwards is in ``without_entry``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from callers_mcp.install.formats import Format, UnreadableConfig

BOM = "\ufeff"


class _Document(Protocol):
    """A text as read in its format; making one raises UnreadableConfig where the text is not readable."""

    def entry(self, path: Sequence[str]) -> Any: ...
    def added(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def replaced(self, path: Sequence[str], value: Mapping[str, Any]) -> str: ...
    def removed(self, path: Sequence[str]) -> str: ...
    def others(self, path: Sequence[str]) -> Any:
        """What the document means without the entry and the objects that hold nothing else: no edit changes it."""


def entry(text: str, format: Format, path: Sequence[str]) -> dict[str, Any] | None:  # noqa: A002
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


def with_entry(text: str, format: Format, path: Sequence[str], value: Mapping[str, Any]) -> str:  # noqa: A002
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
    present = _entry(document, path)
    if present == value:
        return text
    edited = _bom(text) + (document.added(path, value) if present is None else document.replaced(path, value))
    return _proven(document, edited, format, path, dict(value))


def without_entry(text: str, format: Format, path: Sequence[str]) -> str:  # noqa: A002
    r"""Remove the entry: the exact inverse of adding it.

    A JSON container that holds nothing any more goes with the entry if there is white space between its braces, as
    where ``with_entry`` made it, and stays if it is ``{}``, which ``with_entry`` fills as ``{…}`` without a line break
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
        UnreadableConfig: As in ``with_entry``.
    """
    document = _document(text, format)
    if _entry(document, path) is None:
        return text
    return _proven(document, _bom(text) + document.removed(path), format, path, None)


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
    found = document.entry(path)
    if found is not None and not isinstance(found, dict):
        raise UnreadableConfig(f"{'.'.join(path)} is no object")
    return found


def _proven(
    document: _Document,
    edited: str,
    format: Format,  # noqa: A002
    path: Sequence[str],
    value: dict[str, Any] | None,
) -> str:
    """Read the edited text again: it must hold what was meant, and all else as before."""
    try:
        result = _document(edited, format)
        proven = _entry(result, path) == value and result.others(path) == document.others(path)
    except UnreadableConfig:
        proven = False
    if not proven:
        raise UnreadableConfig(f"{'.'.join(path)} stands in the file in a way that can't be edited safely")
    return edited
