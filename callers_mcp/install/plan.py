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
from callers_mcp.install.entry import NAME, is_ours, merge, redact
from callers_mcp.install.formats import UnreadableConfig
from callers_mcp.install.registry import Host, Platform

_COMMAND_TIMEOUT_SECONDS = 60.0
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
        current: The entry that is there.
        desired: The one that is to be there.
        keep_backup: Whether the backup has what was there before any entry of ours, and so is to stay.
    """

    host: Host
    config: Path
    before: bytes | None = field(repr=False)
    after: bytes | None = field(repr=False)
    current: Mapping[str, Any] | None = field(repr=False)
    desired: Mapping[str, Any] | None = field(repr=False)
    keep_backup: bool = False

    @property
    def is_noop(self) -> bool:
        """Whether all is as it should be already."""
        return self.before == self.after

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """What has the host make the change, where it alone may write the file."""
        if self.is_noop or not self.host.command:
            return []
        return _commands(self.host, self.current, self.desired)

    def as_text(self) -> str:
        """Return the change for people: a diff of the entry, or the host's commands; others' secrets are in neither."""
        if self.is_noop:
            return ""
        current, desired = (None if entry is None else redact(entry) for entry in (self.current, self.desired))
        if self.host.command:
            return "".join(f"{quote_command(command)}\n" for command in _commands(self.host, current, desired))
        before, after = (
            [] if entry is None else snippet(self.host, entry).splitlines(keepends=True) for entry in (current, desired)
        )
        was, will = (str(self.config) if text is not None else "/dev/null" for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, was, will))


def plan_install(host: Host, entry: Mapping[str, Any], platform: Platform) -> Change:
    """Plan that the host has the entry, with what somebody added to an earlier one of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _config_errors(host, platform) as config:
        before, text, current = _read_current(host, config, "Rename that one first.")
        desired = merge(current, entry)
        after = documents.set_entry(text, host.format, _path(host), desired)
        if after == text:
            return Change(host, config, before, before, current, desired)
        keep_backup = current is not None and _backup_if_unchanged(host, config, text, current) is not None
        return Change(host, config, before, after.encode(), current, desired, keep_backup)


def plan_uninstall(host: Host, platform: Platform) -> Change:
    """Plan that the host has no entry of ours.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _config_errors(host, platform) as config:
        before, text, current = _read_current(host, config, "Take that one out by hand, if it is to go.")
        after = before if current is None else _without_entry(host, config, text, current)
        return Change(host, config, before, after, current, None)


def apply(change: Change) -> Path | None:
    """Make the change, and return where what was there is kept.

    Raises:
        InstallationError: It can't be made.
    """
    if change.is_noop:
        return None
    if change.host.command:
        _run_commands(change, change.host.command)
        return None
    try:
        return files.replace(change.config, change.before, change.after, keep_backup=change.keep_backup)
    except files.ConfigChanged:
        raise InstallationError(f"{change.config} was changed meanwhile, and is left as it is. Try again.") from None
    except OSError as error:
        raise InstallationError(f"{change.config} can't be written ({error.strerror or error}).") from None


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """Return what belongs into the host's configuration, or the host's own command that puts it there."""
    if host.command:
        return "".join(f"{quote_command(command)}\n" for command in _commands(host, None, entry))
    return documents.set_entry("", host.format, _path(host), entry)


def quote_command(command: Sequence[str]) -> str:
    """Return a command as a shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _path(host: Host) -> tuple[str, ...]:
    return (*host.container, NAME)


def _read_current(host: Host, config: Path, advice: str) -> tuple[bytes | None, str, dict[str, Any] | None]:
    """Return the configuration's bytes, its text, and the entry of ours in it."""
    before = files.read(config)
    text = (before or b"").decode()
    current = documents.get_entry(text, host.format, _path(host))
    if current is not None and not is_ours(current):
        raise InstallationError(
            f"{host.title} has another server named {NAME} in {config}, which is left as it is. {advice}"
        )
    return before, text, current


def _without_entry(host: Host, config: Path, text: str, current: Mapping[str, Any]) -> bytes | None:
    """Return the configuration without the entry: as it was before, to the byte, if nothing else came to it since."""
    original = _backup_if_unchanged(host, config, text, current)
    if original is not None:
        return original
    after = documents.remove_entry(text, host.format, _path(host))
    return after.encode() if after.strip() else None


def _backup_if_unchanged(host: Host, config: Path, text: str, current: Mapping[str, Any]) -> bytes | None:
    """Return the backup, where it has no entry of ours and with the present one is what the configuration is now."""
    try:
        backup = files.read(files.backup_path(config))
        earlier = "" if backup is None else backup.decode()
        if documents.get_entry(earlier, host.format, _path(host)) is None:
            return backup if documents.set_entry(earlier, host.format, _path(host), current) == text else None
    except (UnreadableConfig, UnicodeDecodeError):
        pass  # it is of another time
    return None


def _commands(
    host: Host, current: Mapping[str, Any] | None, desired: Mapping[str, Any] | None
) -> list[tuple[str, ...]]:
    name = str(host.command)
    removing = [] if current is None else [(name, "mcp", "remove", "--scope", "user", NAME)]
    return removing + ([] if desired is None else [_add_command(name, host, desired)])


def _add_command(program: str, host: Host, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the host's command for an entry, which may be one that somebody wrote by hand, with less in it."""
    line = [program, "mcp", "add", "--scope", "user"]
    for name, value in entry.get("env", {}).items():
        line += ["--env", f"{name}={value}"]
    # The transport comes after the variables: the option for these takes all words up to the next option.
    line += ["--transport", entry.get("type", "stdio"), NAME]
    return (*line, entry["url"]) if host.url in entry else (*line, "--", entry["command"], *entry.get("args", ()))


def _run_commands(change: Change, name: str) -> None:
    program = shutil.which(name)
    if program is None:
        raise CommandNotFound(name, [quote_command(command) for command in change.commands])
    removed = ""
    for command in change.commands:
        try:
            _run_command(program, command)
        except InstallationError as error:
            if not removed or change.current is None:
                raise
            try:
                _run_command(program, _add_command(name, change.host, change.current))
            except InstallationError:
                raise InstallationError(f"{error} {removed}") from None
            raise
        removed = "The earlier entry is gone; what callers-mcp config prints puts one in."


def _run_command(program: str, command: Sequence[str]) -> None:
    description = " ".join(command[:3])  # without the values, some of which may be secrets of somebody's
    try:
        completed = subprocess.run(  # noqa: S603
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationError(f"{description} could not be run ({type(error).__name__}).") from None
    if completed.returncode:
        output = (completed.stderr or completed.stdout).strip().splitlines() or [""]
        raise InstallationError(f"{description} failed: {output[-1][:200] or f'exit code {completed.returncode}'}")


@contextmanager
def _config_errors(host: Host, platform: Platform) -> Iterator[Path]:
    """Give the configuration's path, and say what is wrong with it."""
    config = host.config(platform)
    try:
        yield config
    except (UnreadableConfig, UnicodeDecodeError) as error:
        reason = error if isinstance(error, UnreadableConfig) else "it is not UTF-8"
        raise InstallationError(
            f"{config} is left as it is: {reason}. Mend it, or put in by hand what the command config prints."
        ) from None
    except OSError as error:
        raise InstallationError(f"{config} can't be read ({error.strerror or error}).") from None
