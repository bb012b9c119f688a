"""Plans the change of a host's configuration, for ``install`` and ``uninstall``, and applies it in one step."""

import difflib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers_mcp import files
from callers_mcp.install import documents
from callers_mcp.install.documents import UnreadableConfig
from callers_mcp.install.entry import NAME, from_host, hidden_names, is_ours, merge, redact, to_host
from callers_mcp.install.registry import Host, Platform
from callers_mcp.sanitize import escape_invisible, sanitize, truncate

_COMMAND_TIMEOUT_SECONDS = 60.0
"""The time limit for a host's own command."""


class InstallationError(Exception):
    """The change can't be made; nothing was changed. The message is one or two sentences that say what to do next.

    Attributes:
        lines: Commands for the user to run, one a line.
    """

    def __init__(self, message: str, lines: str = "") -> None:
        super().__init__(message)
        self.lines = lines


class CommandNotFound(InstallationError):
    """The host's own command isn't on the PATH."""


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

    def as_text(self) -> str:
        """Return a preview: a diff of the entry, or the host's commands. It has no secrets of the user."""
        if self.is_noop:
            return ""
        if self.host.command:
            return _lines(_commands(self.host, self.current, self.desired))
        before, after = (
            [] if entry is None else snippet(self.host, redact(entry)).splitlines(keepends=True)
            for entry in (self.current, self.desired)
        )
        config = sanitize(str(self.config))
        old, new = (config if text is not None else "/dev/null" for text in (self.before, self.after))
        diff = "".join(difflib.unified_diff(before, after, old, new))
        return f"{diff}Only this entry would change; the other settings of {self.host.title} stay as they are.\n"


def require_editable(host: Host, name: str, *, adds: bool = False) -> None:
    """Raise InstallationError if the host's configuration is only edited by hand.

    Args:
        host: The host.
        name: Its name in the registry.
        adds: Whether an entry is added, for which some hosts must have created the file.

    Raises:
        InstallationError: The message says why, and how to get the text.
    """
    config = host.config(Platform())
    if host.systems and sys.platform not in host.systems:
        raise InstallationError(f"{host.title} does not run on this system.")
    if host.by_hand or (adds and host.must_exist and not config.exists()):
        reason = host.by_hand or f"{config} does not exist, and {host.title} creates it at its first start."
        raise InstallationError(f"{reason} Edit it by hand: callers-mcp config {name} prints the text.")


def plan_change(host: Host, entry: Mapping[str, Any] | None) -> Change:
    """Plan to add the entry to the host, or to update it and keep fields that the user added; or to remove it.

    Args:
        host: The host.
        entry: The new entry, or None to remove the present one.

    Raises:
        InstallationError: The configuration can't be read or edited, or another server has the name.
    """
    config = host.config(Platform())
    try:
        before = files.read(config)
        text = (before or b"").decode()
        path = _key_path(host, text)
        written = documents.get_entry(text, host.format, path)
        current = None if written is None else from_host(host, written)
        if current is not None and not is_ours(current):
            raise InstallationError(
                f"{host.title} has another server named {NAME} in {config}; nothing was changed. Rename or remove that "
                "server in the file."
            )
        desired = None if entry is None else merge(current, entry)
        if desired == current:
            return Change(host, config, before, before, current, desired)
        if host.command and current is not None and desired is not None:
            _require_no_secrets(host, config, current)
        originals = [] if written is None else list(_originals(host, config, path, text, written))
        if desired is None and originals:
            after = originals[0]
        else:
            value = None if desired is None else to_host(host, desired)
            after = documents.set_entry(text, host.format, path, value).encode()
        return Change(
            host, config, before, after, current, desired, keep_backup=desired is not None and bool(originals)
        )
    except (UnreadableConfig, UnicodeError) as error:
        reason = error if isinstance(error, UnreadableConfig) else "it is not UTF-8"
        raise InstallationError(
            f"{config} was not changed: {reason}. Fix it, or edit it by hand: callers-mcp config prints the text."
        ) from None
    except OSError as error:
        raise InstallationError(f"{config} can't be read ({error.strerror or error}).") from None


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
        return _lines(_commands(host, None, entry))
    written = to_host(host, entry)
    if host.form == "crush":
        return f"{shlex.join(['mcp', 'add', NAME, *_options(written)])}\n"
    if host.form == "tables":
        import tomlkit

        return tomlkit.dumps({host.container[0]: [{"name": NAME, **written}]})
    if host.form == "yaml":  # JSON is YAML too
        fields = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in written.items())
        return f"{host.container[0]}:\n  {NAME}:\n{fields}"
    lines = documents.set_entry("", host.format, _key_path(host), written).split("\n")
    return "\n".join(map(escape_invisible, lines))


def quote_command(command: Sequence[str]) -> str:
    """Return a command quoted for the system's shell."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _options(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options for the fields of an entry: an option is repeated for each element of an array or object."""
    for key, value in fields.items():
        if isinstance(value, dict):
            for pair in value.items():
                yield from (f"--{key}", *pair)
        else:
            for text in value if isinstance(value, list) else [value]:
                yield from (f"--{key}", text)


def _key_path(host: Host, text: str = "") -> tuple[str, ...]:
    """Return the keys that lead to our entry in a configuration."""
    if host.nested:
        servers = documents.get_entry(text, host.format, host.container) or {}
        value = servers.get(host.nested)
        # Otherwise it is a server with this name.
        if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
            return (*host.container, host.nested, NAME)
    return (*host.container, NAME)


def _originals(
    host: Host, config: Path, path: Sequence[str], text: str, written: Mapping[str, Any]
) -> Iterator[bytes | None]:
    """Yield the content from before the installation, None for no file, if adding our entry to it gives the text.

    A backup that already has an entry of ours is not from before the installation.
    """
    for original in (files.read(files.backup_path(config)), None):
        with suppress(UnreadableConfig, UnicodeDecodeError):  # the backup may be unrelated or damaged
            earlier = (original or b"").decode()
            is_without = documents.get_entry(earlier, host.format, path) is None
            if is_without and documents.set_entry(earlier, host.format, path, written) == text:
                yield original


def _commands(
    host: Host, current: Mapping[str, Any] | None, desired: Mapping[str, Any] | None
) -> list[tuple[str, ...]]:
    """Return the host's commands that replace one entry by another. An entry written by hand may lack optional keys."""
    start = (str(host.command), "mcp")
    commands = list[tuple[str, ...]]()
    if current is not None:
        commands.append((*start, "remove", "--scope", "user", NAME))
    if desired is not None:
        line = [*start, "add", "--scope", "user"]
        for name, value in desired.get("env", {}).items():
            line += ["--env", f"{name}={value}"]
        # The transport comes after the variables, because --env takes all words up to the next option.
        line += ["--transport", desired.get("type", "stdio"), NAME]
        line += [desired["url"]] if host.url in desired else ["--", desired["command"], *desired.get("args", ())]
        for name, value in desired.get("headers", {}).items():
            line += ["--header", f"{name}: {value}"]
        commands.append(tuple(map(str, line)))
    return commands


def _lines(commands: Sequence[Sequence[str]]) -> str:
    return "".join(f"{quote_command(command)}\n" for command in commands)


def _require_no_secrets(host: Host, config: Path, current: Mapping[str, Any]) -> None:
    """Raise InstallationError if the host's command can't write the entry again, or would show a secret to others."""
    names = hidden_names(current)
    if names:
        raise InstallationError(
            f"the entry {NAME} in {config} has {', '.join(names)}, which {host.command} mcp add would show to other "
            f"users of this machine. Remove the entry with the command below, install again, and add what you need to "
            f"the file while {host.title} is not running.",
            _lines(_commands(host, current, None)),
        )


def _run_commands(change: Change, name: str) -> None:
    commands = _commands(change.host, change.current, change.desired)
    program = shutil.which(name)
    if program is None or not Path(program).is_absolute():  # a program in the working folder is not the host's
        raise CommandNotFound(
            f"the command {name} was not found, and only it may write this. Run this where it is found:",
            _lines(commands),
        )
    for number, command in enumerate(commands):
        problem = _run_command(program, command)
        if problem and number:  # the earlier entry is removed, so put it back
            for restoring in _commands(change.host, None, change.current):
                if _run_command(program, restoring):
                    problem += " The earlier entry is gone; to add one, run the command that callers-mcp config prints."
        if problem:
            raise InstallationError(problem)


def _run_command(program: str, command: Sequence[str]) -> str | None:
    """Run a command, and return what went wrong, or None."""
    description = " ".join(command[:3])  # without the values, which may be secrets
    try:
        completed = subprocess.run(  # noqa: S603 - no shell, and the program has an absolute path
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:  # ValueError: a word that no command can have
        return f"{description} could not be run ({type(error).__name__})."
    if not completed.returncode:
        return None
    output = (completed.stderr or completed.stdout).strip().splitlines() or [""]
    return f"{description} failed: {truncate(output[-1], 200) or f'exit code {completed.returncode}'}"
