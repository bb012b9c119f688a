"""What an installation into a host changes: planned first, from what is there, then done in one step."""

import difflib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callers_mcp.hosts import documents, files
from callers_mcp.hosts.documents import UnreadableConfig
from callers_mcp.hosts.entry import NAME, is_ours, updated
from callers_mcp.hosts.table import Host, System

_PATIENCE = 60.0
"""Seconds for a host's own command."""

_QUOTED_OR_COMMENT = re.compile(r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?P<key>\s*:)?|//.*|/\*.*?\*/|\#.*""")


class InstallationError(Exception):
    """The change can't be made; one or two sentences that say what to do next. What was there is left as it is."""


class CommandNotFound(InstallationError):
    """The host's own command isn't on this machine's PATH; ``lines`` are for whoever has it."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__(f"the command {name}, which alone may write this, is not found. Run this where it is:")
        self.lines = lines


@dataclass(frozen=True)
class Change:
    """What becomes of one host's configuration.

    ``commands`` are those of the host that make the change, where it alone may write the file.
    """

    config: Path
    before: bytes | None
    after: bytes | None
    entry: Mapping[str, Any] | None
    """The entry that comes or goes."""
    commands: tuple[tuple[str, ...], ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether all is as it should be already."""
        return self.before == self.after

    def as_text(self) -> str:
        """Return the change for people: a diff, or the host's commands."""
        if self.is_none:
            return ""
        if self.commands:
            return "".join(f"{quoted(command)}\n" for command in self.commands)
        before, after = ((text or b"").decode().splitlines() for text in (self.before, self.after))
        was, will = (str(self.config) if text is not None else "/dev/null" for text in (self.before, self.after))
        # Without context, and masked: what stands beside the entry, or on a line with it, may be another's secret.
        diff = difflib.unified_diff(before, after, was, will, n=0, lineterm="")
        own = {form for text in _strings(self.entry) for form in (text, json.dumps(text, ensure_ascii=False)[1:-1])}
        return "".join(
            f"{line}\n" if number < 2 else f"{_masked(line, own)}\n"  # the first two name the file
            for number, line in enumerate(diff)
        )


def installing(host: Host, entry: Mapping[str, Any], system: System) -> Change:
    """Plan that the host has the entry, with what somebody added to an earlier one of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _explained(host, system) as config:
        before, text, present = _present(host, config)
        wanted = updated(present, entry)
        after = documents.with_entry(text, host.format, _path(host), wanted)
        if after == text:
            return Change(config, before, before, wanted)
        commands = _removing(host, present) + _adding(host, wanted)
        return Change(config, before, after.encode(), wanted, commands)


def uninstalling(host: Host, system: System) -> Change:
    """Plan that the host has no entry of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _explained(host, system) as config:
        before, text, present = _present(host, config)
        if present is None:
            return Change(config, before, before, None)
        return Change(config, before, _without(host, config, text, present), present, _removing(host, present))


def apply(change: Change, host: Host) -> Path | None:
    """Make the change, and return where what was there is kept.

    Raises:
        InstallationError: It can't be made.
    """
    if change.is_none:
        return None
    if host.command:
        _run(change, host.command)
        return None
    try:
        return files.replace(change.config, change.before, change.after)
    except files.ConfigChanged:
        raise InstallationError(f"{change.config} was changed meanwhile, and is left as it is. Try again.") from None
    except OSError as error:
        raise InstallationError(f"{change.config} can't be written ({error.strerror or error}).") from None


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """Return what belongs into the host's configuration, or the host's own command that puts it there."""
    if host.command:
        return "".join(f"{quoted(command)}\n" for command in _adding(host, entry))
    return documents.with_entry("", host.format, _path(host), entry)


def quoted(command: Sequence[str]) -> str:
    """Return a command as a shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _path(host: Host) -> tuple[str, ...]:
    return (*host.container, NAME)


def _present(host: Host, config: Path) -> tuple[bytes | None, str, dict[str, Any] | None]:
    """Return the configuration's bytes, its text, and the entry of ours in it."""
    before = files.read(config)
    text = (before or b"").decode()
    present = documents.entry(text, host.format, _path(host))
    if present is not None and not is_ours(present):
        raise InstallationError(
            f"{host.title} has another server named {NAME} in {config}, which is left as it is. Rename that one first."
        )
    return before, text, present


def _without(host: Host, config: Path, text: str, present: Mapping[str, Any]) -> bytes | None:
    """Return the configuration without the entry: as it was before, to the byte, if nothing else came to it since."""
    try:
        backup = files.read(files.backup_of(config))
        earlier = None if backup is None else backup.decode()
        if earlier not in (None, text) and documents.with_entry(earlier, host.format, _path(host), present) == text:
            return backup
    except (UnreadableConfig, UnicodeDecodeError):
        pass  # it is of another time
    after = documents.without_entry(text, host.format, _path(host))
    return after.encode() if after.strip() else None


def _adding(host: Host, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    if not host.command:
        return ()
    line = [host.command, "mcp", "add", "--scope", "user"]
    for name, value in entry.get("env", {}).items():
        line += ["--env", f"{name}={value}"]
    # The transport comes after the variables: the option for these takes all words up to the next option.
    line += ["--transport", entry["type"], NAME]
    return ((*line, entry["url"]) if host.url in entry else (*line, "--", entry["command"], *entry["args"]),)


def _removing(host: Host, present: Mapping[str, Any] | None) -> tuple[tuple[str, ...], ...]:
    if not host.command or present is None:
        return ()
    return ((host.command, "mcp", "remove", "--scope", "user", NAME),)


def _run(change: Change, name: str) -> None:
    program = shutil.which(name)
    if program is None:
        raise CommandNotFound(name, [quoted(command) for command in change.commands])
    for command in change.commands:
        try:
            done = subprocess.run(  # noqa: S603
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallationError(f"{name} could not be run ({type(error).__name__}): {quoted(command)}") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or [""]
            raise InstallationError(f"{quoted(command)} failed: {said[-1][:200] or f'exit code {done.returncode}'}")


@contextmanager
def _explained(host: Host, system: System) -> Iterator[Path]:
    """Give the configuration's path, and say what is wrong with it."""
    config = host.config(system)
    try:
        yield config
    except (UnreadableConfig, UnicodeDecodeError) as error:
        reason = error if isinstance(error, UnreadableConfig) else "it is not UTF-8"
        raise InstallationError(
            f"{config} is left as it is: {reason}. Mend it, or put in by hand what the command config prints."
        ) from None
    except OSError as error:
        raise InstallationError(f"{config} can't be read ({error.strerror or error}).") from None


def _masked(line: str, own: Collection[str]) -> str:
    """Hide each quoted value and comment of a diff's line that isn't the entry's own."""

    def shown(found: re.Match[str]) -> str:
        if not found["text"]:
            return "..."
        return found[0] if found["key"] or found["text"][1:-1] in own else '"..."'

    return line[0] + _QUOTED_OR_COMMENT.sub(shown, line[1:])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
