"""Plans the change of a host's configuration, for ``install`` and ``uninstall``, and applies it in one step."""

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

from callers_mcp import files
from callers_mcp.install import documents
from callers_mcp.install.entry import NAME, is_ours, merge, redact
from callers_mcp.install.formats import UnreadableConfig
from callers_mcp.install.registry import Host, Platform

_COMMAND_TIMEOUT_SECONDS = 60.0
"""The time limit for a host's own command."""


class InstallationError(Exception):
    """The change can't be made; nothing was changed. The message is one or two sentences that say what to do next."""


class CommandNotFound(InstallationError):
    """The host's own command isn't on the PATH. ``lines``: commands for the user to run."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        super().__init__(f"the command {name} was not found, and only it may write this. Run this where it is found:")
        self.lines = lines


@dataclass(frozen=True)
class Change:
    """A planned change of one host's configuration.

    Attributes:
        host: The host.
        config: The path of its configuration.
        before: The content of the file, or None if there is no file.
        after: The content after the change, or None if the file is deleted.
        current: Our present entry, or None.
        desired: Our entry after the change, or None.
        keep_backup: Whether to keep the present backup: it is the file from before the first installation.
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
        """Whether nothing has to change."""
        return self.before == self.after

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """The host's own commands that make the change, if only the host may write the file."""
        if self.is_noop or not self.host.command:
            return []
        return _commands(self.host, self.current, self.desired)

    def as_text(self) -> str:
        """Return a preview: a diff of the entry, or the host's commands. It has no secrets of the user."""
        if self.is_noop:
            return ""
        current, desired = (None if entry is None else redact(entry) for entry in (self.current, self.desired))
        if self.host.command:
            return "".join(f"{quote_command(command)}\n" for command in _commands(self.host, current, desired))
        before, after = (
            [] if entry is None else snippet(self.host, entry).splitlines(keepends=True) for entry in (current, desired)
        )
        old, new = (str(self.config) if text is not None else "/dev/null" for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, old, new))


def plan_install(host: Host, entry: Mapping[str, Any], platform: Platform) -> Change:
    """Plan to add the entry to the host, or to update it, and keep fields that the user added.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _config_errors(host, platform) as config:
        before, text, current = _read_current(host, config, "Rename that server first.")
        desired = merge(current, entry)
        after = documents.set_entry(text, host.format, _key_path(host), desired)
        if after == text:
            return Change(host, config, before, before, current, desired)
        keep_backup = current is not None and _backup_if_unchanged(host, config, text, current) is not None
        return Change(host, config, before, after.encode(), current, desired, keep_backup)


def plan_uninstall(host: Host, platform: Platform) -> Change:
    """Plan to remove our entry from the host.

    Raises:
        InstallationError: The configuration can't be read, or another server has the name.
    """
    with _config_errors(host, platform) as config:
        before, text, current = _read_current(host, config, "To remove that server, edit the file.")
        after = before if current is None else _without_entry(host, config, text, current)
        return Change(host, config, before, after, current, None)


def apply(change: Change) -> Path | None:
    """Make the change, and return the path of the backup, or None if none was created.

    Raises:
        InstallationError: The change can't be made.
    """
    if change.is_noop:
        return None
    if change.host.command:
        _run_commands(change, change.host.command)
        return None
    try:
        return files.replace(change.config, change.before, change.after, keep_backup=change.keep_backup)
    except files.ConfigChanged:
        raise InstallationError(
            f"another program changed {change.config} in the meantime; nothing was written. Try again."
        ) from None
    except OSError as error:
        raise InstallationError(f"{change.config} can't be written ({error.strerror or error}).") from None


def snippet(host: Host, entry: Mapping[str, Any]) -> str:
    """Return the text to put into the host's configuration, or the host's own command that adds the entry."""
    if host.command:
        return "".join(f"{quote_command(command)}\n" for command in _commands(host, None, entry))
    return documents.set_entry("", host.format, _key_path(host), entry)


def quote_command(command: Sequence[str]) -> str:
    """Return a command quoted for the system's shell."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _key_path(host: Host) -> tuple[str, ...]:
    return (*host.container, NAME)


def _read_current(host: Host, config: Path, advice: str) -> tuple[bytes | None, str, dict[str, Any] | None]:
    """Return the configuration's bytes, its text, and our entry in it."""
    before = files.read(config)
    text = (before or b"").decode()
    current = documents.get_entry(text, host.format, _key_path(host))
    if current is not None and not is_ours(current):
        raise InstallationError(
            f"{host.title} has another server named {NAME} in {config}; nothing was changed. {advice}"
        )
    return before, text, current


def _without_entry(host: Host, config: Path, text: str, current: Mapping[str, Any]) -> bytes | None:
    """Return the configuration without the entry: the backup, byte for byte, if nothing else was changed since."""
    original = _backup_if_unchanged(host, config, text, current)
    if original is not None:
        return original
    after = documents.remove_entry(text, host.format, _key_path(host))
    return after.encode() if after.strip() else None


def _backup_if_unchanged(host: Host, config: Path, text: str, current: Mapping[str, Any]) -> bytes | None:
    """Return the backup, if adding our entry to it gives exactly the present file; otherwise None.

    A backup that already has an entry of ours is not from before the installation, so it is not returned.
    """
    try:
        backup = files.read(files.backup_path(config))
        earlier = "" if backup is None else backup.decode()
        if documents.get_entry(earlier, host.format, _key_path(host)) is None:
            return backup if documents.set_entry(earlier, host.format, _key_path(host), current) == text else None
    except (UnreadableConfig, UnicodeDecodeError):
        pass  # the backup is unrelated or damaged
    return None


def _commands(
    host: Host, current: Mapping[str, Any] | None, desired: Mapping[str, Any] | None
) -> list[tuple[str, ...]]:
    name = str(host.command)
    remove = [] if current is None else [(name, "mcp", "remove", "--scope", "user", NAME)]
    return remove + ([] if desired is None else [_add_command(name, host, desired)])


def _add_command(program: str, host: Host, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the host's command that adds an entry. An entry written by hand may lack optional keys."""
    line = [program, "mcp", "add", "--scope", "user"]
    for name, value in entry.get("env", {}).items():
        line += ["--env", f"{name}={value}"]
    # The transport comes after the variables, because --env takes all words up to the next option.
    line += ["--transport", entry.get("type", "stdio"), NAME]
    return (*line, entry["url"]) if host.url in entry else (*line, "--", entry["command"], *entry.get("args", ()))


def _run_commands(change: Change, name: str) -> None:
    program = shutil.which(name)
    if program is None:
        raise CommandNotFound(name, [quote_command(command) for command in change.commands])
    is_removed = False
    for command in change.commands:
        try:
            _run_command(program, command)
        except InstallationError as error:
            if not is_removed or change.current is None:
                raise
            try:
                _run_command(program, _add_command(name, change.host, change.current))
            except InstallationError:
                raise InstallationError(
                    f"{error} The earlier entry is gone; to add one, run the command that callers-mcp config prints."
                ) from None
            raise
        is_removed = True


def _run_command(program: str, command: Sequence[str]) -> None:
    description = " ".join(command[:3])  # without the values, which may be secrets
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
    """Yield the configuration's path, and report what is wrong with the file as an InstallationError."""
    config = host.config(platform)
    try:
        yield config
    except (UnreadableConfig, UnicodeDecodeError) as error:
        reason = error if isinstance(error, UnreadableConfig) else "it is not UTF-8"
        raise InstallationError(
            f"{config} was not changed: {reason}. Fix it, or add the text that callers-mcp config prints by hand."
        ) from None
    except OSError as error:
        raise InstallationError(f"{config} can't be read ({error.strerror or error}).") from None
