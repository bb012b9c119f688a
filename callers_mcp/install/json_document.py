"""Edits JSON with comments and trailing commas, by the position of every value in the text."""

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from callers_mcp.install.formats import UnreadableConfig
from callers_mcp.install.json_syntax import JsonMember, JsonReader, JsonValueNode, decode_scalar

_REST_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\Z)")
_INDENT = re.compile(r"[ \t]*")


class JsonDocument:
    """A parsed text. Edits return a new text."""

    def __init__(self, text: str) -> None:
        reader = JsonReader(text)
        self._text = text
        self._comments = reader.comments
        self._root = reader.document()
        if self._root is not None and self._root.members is None:
            raise UnreadableConfig("the file is not a JSON object")
        first_line = text.partition("\n")[0]
        self._eol = "\r\n" if first_line.endswith("\r") else "\n"
        self._unit = self._root_indent()

    def get(self, path: Sequence[str]) -> Any:
        """Return the value at the path as a Python object, or None if it is absent."""
        path_members = self._members_on_path(path)
        if len(path_members) < len(path):
            return None
        value = self._to_python(path_members[-1].value)
        if value is None:
            raise UnreadableConfig(f"{'.'.join(path)} is null")
        return value

    def add(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with a new entry at the end of its container."""
        text = self._text
        if self._root is None:
            start = text if not text or text.endswith("\n") else text + self._eol
            return f"{start}{{{self._eol}{self._unit}{self._member(path, value, self._unit)}{self._eol}}}{self._eol}"
        path_members = self._members_on_path(path)
        containers = [self._root, *(member.value for member in path_members)]
        container, members = containers[-1], containers[-1].members or []
        last = members[-1] if members else None
        after = container.start + 1 if last is None else _end(last)
        position, breaks = self._after_comments(after, container.end - 1)
        breaks = breaks or self._is_multiline(container if last or not path_members else containers[-2])
        indent = self._indent(container, last) if breaks else None
        separator = self._eol + indent if indent is not None else " " if last else ""
        member = separator + self._member(path[len(path_members) :], value, indent)
        if last is None:
            return text[:position] + member + text[position:]
        if last.comma is not None:
            return text[:position] + member + "," + text[position:]
        return text[: last.value.end] + "," + text[last.value.end : position] + member + text[position:]

    def replace(self, path: Sequence[str], value: Mapping[str, Any]) -> str:
        """Return the text with another value for the existing entry."""
        old = self._members_on_path(path)[-1].value
        start = self._text.rfind("\n", 0, old.start) + 1
        breaks = "\n" in self._text[old.start : old.end]
        indent = _INDENT.match(self._text, start)[0] if breaks else None  # type: ignore[index]
        return self._text[: old.start] + self._serialize(value, indent) + self._text[old.end :]

    def remove(self, path: Sequence[str]) -> str:
        """Return the text without the existing entry, and without the containers that were created for it."""
        path_members = self._members_on_path(path)
        containers = [self._root, *(member.value for member in path_members)]
        depth = len(path) - 1
        while depth and self._holds_only(containers[depth], path_members[depth]):
            depth -= 1
        root, text = self._root, self._text
        if root is not None and not depth and self._holds_only(root, path_members[0]):
            before, after = text[: root.start], text[root.end :]
            if not before.strip() and not after.strip():
                return before + after.removeprefix(self._eol)
        return self._without_member(containers[depth], path_members[depth])

    def other_content(self, path: Sequence[str]) -> Any:
        """Return the source text of all values, in order, except the entry and the objects that only contain it."""
        return self._other_content(self._root, path) if self._root is not None else {}

    def _other_content(self, value: JsonValueNode, path: Sequence[str]) -> Any:
        if value.items is not None:
            return [self._other_content(item, ()) for item in value.items]
        if value.members is None:
            return self._text[value.start : value.end]
        pairs = []
        for member in value.members:
            on_path = bool(path) and member.key == path[0]
            if on_path and len(path) == 1:
                continue
            rest = self._other_content(member.value, path[1:] if on_path else ())
            if not (on_path and rest == {}):
                pairs.append((member.key, rest))
        return tuple(pairs) or {}

    def _to_python(self, value: JsonValueNode) -> Any:
        if value.items is not None:
            return [self._to_python(item) for item in value.items]
        if value.members is not None:
            return {member.key: self._to_python(member.value) for member in value.members}
        return decode_scalar(self._text[value.start : value.end])

    def _members_on_path(self, path: Sequence[str]) -> list[JsonMember]:
        """Return the members on the path, up to the first that is absent."""
        value, path_members = self._root, list[JsonMember]()
        for depth, key in enumerate(path):
            if value is None:
                break
            if value.members is None:
                raise UnreadableConfig(f"{'.'.join(path[:depth])} is not an object")
            matching = [member for member in value.members if member.key == key]
            if len(matching) > 1:
                raise UnreadableConfig(f"{'.'.join(path[: depth + 1])} appears twice")
            if not matching:
                break
            path_members.append(matching[0])
            value = matching[0].value
        return path_members

    def _after_comments(self, start: int, end: int) -> tuple[int, bool]:
        """Return where the last comment between the positions ends, and whether a line break must follow it."""
        index = bisect_left(self._comments, end, key=lambda comment: comment.start)
        if not index or self._comments[index - 1].start < start:
            return start, False
        comment = self._comments[index - 1]
        return comment.end, comment.to_line_end

    def _is_multiline(self, container: JsonValueNode) -> bool:
        """Return whether each member of the container is on its own line; only the last one is checked."""
        members = container.members
        if not members:
            return True
        before = _end(members[-2]) if len(members) > 1 else container.start
        return "\n" in self._text[before : members[-1].start]

    def _line_indent(self, position: int) -> tuple[str, bool]:
        """Return the white space at the start of the position's line, and whether only this precedes the position."""
        start = self._text.rfind("\n", 0, position) + 1
        indent = _INDENT.match(self._text, start, position)[0]  # type: ignore[index]
        return indent, start + len(indent) == position

    def _indent(self, container: JsonValueNode, last: JsonMember | None) -> str:
        if last is not None:
            indent, first = self._line_indent(last.start)
            if first:
                return indent
        return self._line_indent(container.start)[0] + self._unit

    def _root_indent(self) -> str:
        if self._root is None or not self._root.members:
            return "  "
        indent, first = self._line_indent(self._root.members[0].start)
        return indent if first else "  "

    def _member(self, keys: Sequence[str], value: Mapping[str, Any], indent: str | None) -> str:
        """Return the text of a member: the first key, containers for the others, the value; one line without indent."""
        if indent is not None:
            for key in reversed(keys[1:]):
                value = {key: value}
            return f"{_quoted(keys[0])}: {self._serialize(value, indent)}"
        written = self._serialize(value, None)
        for key in reversed(keys[1:]):
            # The spaces distinguish a created container from a ``{}`` that was filled.
            written = f"{{ {_quoted(key)}: {written} }}"
        return f"{_quoted(keys[0])}: {written}"

    def _serialize(self, value: Mapping[str, Any], indent: str | None) -> str:
        if indent is None:
            return json.dumps(value, ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False, indent=self._unit).replace("\n", self._eol + indent)

    def _holds_only(self, container: JsonValueNode | None, member: JsonMember) -> bool:
        """Return whether the container has only this member, no comment, and white space: ``set_entry`` created it."""
        if container is None or container.members != [member]:
            return False
        around = self._text[container.start + 1 : member.start], self._text[member.value.end : container.end - 1]
        return not around[0].strip() and not around[1].strip(" \t\r\n,") and around[1] not in ("", ",")

    def _without_member(self, container: JsonValueNode | None, member: JsonMember) -> str:
        text, members = self._text, (container.members if container else None) or []
        index = members.index(member)
        before = members[index - 1] if index else None
        start, breaks = self._after_comments(_end(before) if before else container.start + 1, member.start)  # type: ignore[union-attr]
        if member.comma is not None:
            head, tail = text[:start], text[member.value.end : member.comma] + text[member.comma + 1 :]
        elif before is not None and before.comma is not None:
            head, tail = text[: before.comma] + text[before.comma + 1 : start], text[member.value.end :]
        else:
            head, tail = text[:start], text[member.value.end :]
        if breaks and not _REST_OF_LINE.match(tail):
            head += text[start : member.start]
        return head + tail


def _end(member: JsonMember) -> int:
    return member.value.end if member.comma is None else member.comma + 1


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
