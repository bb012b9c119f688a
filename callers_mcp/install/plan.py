"""What an installation into a host changes: planned first, from what is there, then done in one step."""

import difflib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers_mcp.install import documents, files
from callers_mcp.install.entry import NAME, is_ours, masked, updated
from callers_mcp.install.formats import UnreadableConfig
from callers_mcp.install.registry import Host, System

_PATIENCE = 60.0
"""Seconds for a host's own command."""


class InstallationError(Exception):
    """The change can't be made; one or two sentences that say what to do next. What was there is left as it is."""


class CommandNotFound(InstallationError):
    """The host's own command isn't on this machine's PATH; ``lines`` are for whoever has it."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__(f"the command {name}, which alone may write this, is not found. Run this where it is:")
        self.lines = lines


@dataclass(frozen=True)
class Change:
    """What becomes of one host's configuration, and of our entry in it.

    Attributes:
        config: Where it is.
        before: Its content, ``None`` where there is no file.
        after: The same once the change is made.
        present: The entry that is there.
        wanted: The one that is to be there.
        keeps_backup: Whether the backup has what was there before any entry of ours, and so is to stay.
    """

    host: Host
    config: Path
    before: bytes | None = field(repr=False)
    after: bytes | None = field(repr=False)
    present: Mapping[str, Any] | None = field(repr=False)
    wanted: Mapping[str, Any] | None = field(repr=False)
    keeps_backup: bool = False

    @property
    def is_none(self) -> bool:
        """Whether all is as it should be already."""
        return self.before == self.after

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """What has the host make the change, where it alone may write the file."""
        if self.is_none or not self.host.command:
            return []
        return _commands(self.host, self.present, self.wanted)

    def as_text(self) -> str:
        """Return the change for people: a diff of the entry, or the host's commands; others' secrets are in neither."""
        if self.is_none:
            return ""
        present, wanted = (None if entry is None else masked(entry) for entry in (self.present, self.wanted))
        if self.host.command:
            return "".join(f"{quoted(command)}\n" for command in _commands(self.host, present, wanted))
        before, after = (
            [] if entry is None else snippet(self.host, entry).splitlines(keepends=True) for entry in (present, wanted)
        )
        was, will = (str(self.config) if text is not None else "/dev/null" for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, was, will))


def installing(host: Host, entry: Mapping[str, Any], system: System) -> Change:
    """Plan that the host has the entry, with what somebody added to an earlier one of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _explained(host, system) as config:
        before, text, present = _present(host, config, "Rename that one first.")
        wanted = updated(present, entry)
        after = documents.with_entry(text, host.format, _path(host), wanted)
        if after == text:
            return Change(host, config, before, before, present, wanted)
        keeps_backup = present is not None and _original(host, config, text, present) is not None
        return Change(host, config, before, after.encode(), present, wanted, keeps_backup)


def uninstalling(host: Host, system: System) -> Change:
    """Plan that the host has no entry of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _explained(host, system) as config:
        before, text, present = _present(host, config, "Take that one out by hand, if it is to go.")
        after = before if present is None else _without(host, config, text, present)
        return Change(host, config, before, after, present, None)


def apply(change: Change) -> Path | None:
    """Make the change, and return where what was there is kept.

    Raises:
        InstallationError: It can't be made.
    """
    if change.is_none:
        return None
    if change.host.command:
        _run(change, change.host.command)
        return None
    try:
        return files.replace(change.config, change.before, change.after, keeps_backup=change.keeps_backup)
    except files.ConfigChanged:
        raise InstallationError(f"{change.config} was changed meanwhile, and is left as it is. Try again.") from None
    except OSError as error:
        raise InstallationError(f"{change.config} can't be written ({error.strerror or error}).") from None


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """Return what belongs into the host's configuration, or the host's own command that puts it there."""
    if host.command:
        return "".join(f"{quoted(command)}\n" for command in _commands(host, None, entry))
    return documents.with_entry("", host.format, _path(host), entry)


def quoted(command: Sequence[str]) -> str:
    """Return a command as a shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _path(host: Host) -> tuple[str, ...]:
    return (*host.container, NAME)


def _present(host: Host, config: Path, advice: str) -> tuple[bytes | None, str, dict[str, Any] | None]:
    """Return the configuration's bytes, its text, and the entry of ours in it."""
    before = files.read(config)
    text = (before or b"").decode()
    present = documents.entry(text, host.format, _path(host))
    if present is not None and not is_ours(present):
        raise InstallationError(
            f"{host.title} has another server named {NAME} in {config}, which is left as it is. {advice}"
        )
    return before, text, present


def _without(host: Host, config: Path, text: str, present: Mapping[str, Any]) -> bytes | None:
    """Return the configuration without the entry: as it was before, to the byte, if nothing else came to it since."""
    original = _original(host, config, text, present)
    if original is not None:
        return original
    after = documents.without_entry(text, host.format, _path(host))
    return after.encode() if after.strip() else None


def _original(host: Host, config: Path, text: str, present: Mapping[str, Any]) -> bytes | None:
    """Return the backup, where it has no entry of ours and with the present one is what the configuration is now."""
    try:
        backup = files.read(files.backup_of(config))
        earlier = "" if backup is None else backup.decode()
        if documents.entry(earlier, host.format, _path(host)) is None:
            return backup if documents.with_entry(earlier, host.format, _path(host), present) == text else None
    except (UnreadableConfig, UnicodeDecodeError):
        pass  # it is of another time
    return None


def _commands(host: Host, present: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    name = str(host.command)
    removing = [] if present is None else [(name, "mcp", "remove", "--scope", "user", NAME)]
    return removing + ([] if wanted is None else [_adding(name, host, wanted)])


def _adding(program: str, host: Host, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the host's command for an entry, which may be one that somebody wrote by hand, with less in it."""
    line = [program, "mcp", "add", "--scope", "user"]
    for name, value in entry.get("env", {}).items():
        line += ["--env", f"{name}={value}"]
    # The transport comes after the variables: the option for these takes all words up to the next option.
    line += ["--transport", entry.get("type", "stdio"), NAME]
    return (*line, entry["url"]) if host.url in entry else (*line, "--", entry["command"], *entry.get("args", ()))


def _run(change: Change, name: str) -> None:
    program = shutil.which(name)
    if program is None:
        raise CommandNotFound(name, [quoted(command) for command in change.commands])
    removed = ""
    for command in change.commands:
        try:
            _call(program, command)
        except InstallationError as error:
            if not removed or change.present is None:
                raise
            try:
                _call(program, _adding(name, change.host, change.present))
            except InstallationError:
                raise InstallationError(f"{error} {removed}") from None
            raise
        removed = "The earlier entry is gone; what callers-mcp config prints puts one in."


def _call(program: str, command: Sequence[str]) -> None:
    what = " ".join(command[:3])  # without the values, some of which may be secrets of somebody's
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
        raise InstallationError(f"{what} could not be run ({type(error).__name__}).") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise InstallationError(f"{what} failed: {said[-1][:200] or f'exit code {done.returncode}'}")


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
