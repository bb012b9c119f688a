"""``callers-mcp install`` and ``uninstall``: add this server to a host's configuration, or remove it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callers_mcp.cli.host_argument import HostType

if TYPE_CHECKING:
    from callers_mcp.settings import Settings


@click.command(epilog="Example: callers-mcp install cursor")
@click.argument("host", type=HostType())
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
@click.option("--dry-run", is_flag=True, help="Preview the change.")
def install(host: str, use_sandbox: bool, dry_run: bool) -> None:
    """Add this server to a host's configuration.

    HOST is claude-desktop, claude-code, cursor, vscode, codex or gemini-cli. The key is read from CALLERS_API_KEY, or
    prompted for. It is stored in a file that only you can read. Other CALLERS_ variables are copied into the entry.

    Exit code: 0 done; 1 failed; 2 wrong usage or settings.
    """
    from callers_mcp.install import entry, key_file, plan
    from callers_mcp.install.registry import HOSTS

    row = HOSTS[host]
    key, settings = None, dict[str, str]()
    with _exit_on_error():
        if not use_sandbox:
            key, settings = _key_and_settings(key_file.path(host), prompt=not dry_run)
        change = plan.plan_change(row, entry.stdio_entry(row, settings, sandbox=use_sandbox))
        if dry_run:
            click.echo(change.as_text() or "Nothing would change.\n", nl=False)
            if key and key != key_file.read(key_file.path(host)):
                click.echo(f"The key would be stored in {key_file.path(host)}.")
            return
        if entry.is_ephemeral():
            raise plan.InstallationError(
                "this installation is temporary, and the host needs one that stays. Install the package permanently "
                "first, with uv tool install."
            )
        with _install_key(host, key) as is_new_key:
            backup = plan.apply(change)
    if change.is_noop and not is_new_key:
        click.echo(f"{row.title} already has this server ({change.config}); nothing was changed.")
        return
    click.echo(f"Installed this server in {row.title} ({change.config}){_backup_note(backup)}.")
    if key_path := settings.get(entry.API_KEY_FILE):
        click.echo(f"The key is in {key_path}.")
    if entry.is_in_temporary_folder():
        click.echo(f"Note: this installation is in a temporary folder ({sys.prefix}). The host needs it to stay there.")
    click.echo(f"Next: {row.next_step}")


@click.command(epilog="Example: callers-mcp uninstall cursor")
@click.argument("host", type=HostType())
@click.option("--dry-run", is_flag=True, help="Preview the change.")
def uninstall(host: str, dry_run: bool) -> None:
    """Remove this server, and its key file, from a host.

    HOST is claude-desktop, claude-code, cursor, vscode, codex or gemini-cli. The rest of the configuration is not
    changed.

    Exit code: 0 done; 1 failed; 2 wrong usage.
    """
    from callers_mcp.install import key_file, plan
    from callers_mcp.install.registry import HOSTS

    row = HOSTS[host]
    with _exit_on_error():
        change = plan.plan_change(row, None)
        key_path = key_file.path_in_entry(change.current, host) or key_file.path(host)
        had_key = key_path.exists()
        if dry_run:
            click.echo(change.as_text() or "Nothing would change.\n", nl=False)
            if had_key:
                click.echo(f"The key file {key_path} would be removed.")
            return
        backup = plan.apply(change)
        key_file.write(key_path, None)
    if change.is_noop:
        click.echo(f"{row.title} does not have this server ({change.config}); nothing was changed.")
    else:
        click.echo(f"Removed this server from {row.title} ({change.config}){_backup_note(backup)}.")
    if had_key:
        click.echo(f"Removed the key file {key_path}.")


def _key_and_settings(file: Path, *, prompt: bool) -> tuple[str | None, dict[str, str]]:
    """Return the key to store in ``file`` (None if no key must be stored) and the environment of the entry.

    Exit with code 2 if the settings are wrong or there is no key.
    """
    from callers_mcp.cli.runtime import exit_with_usage_error, load_settings
    from callers_mcp.install import entry, key_file

    settings = load_settings()
    if settings.unresolved:
        exit_with_usage_error(f"{' and '.join(settings.unresolved)} holds a placeholder; set it to its value.")
    for notice in settings.notices:
        click.echo(f"callers-mcp: {notice}", err=True)
    key = None
    if settings.api_key_file:
        file = _checked_key_file(settings)
    elif settings.api_key:
        key = settings.api_key.get_secret_value()
    elif prompt and key_file.read(file) is None:
        key = _prompt_for_key()
    return key, {entry.API_KEY_FILE: str(file), **entry.settings_to_copy(os.environ)}


def _checked_key_file(settings: "Settings") -> Path:
    """Return the absolute path of the user's own key file; exit with code 2 if it has no key."""
    from callers_mcp.api.errors import NotConfigured
    from callers_mcp.api.key import KeySource
    from callers_mcp.cli.runtime import exit_with_usage_error

    try:
        KeySource(settings).current()
    except NotConfigured as error:
        exit_with_usage_error(error.message_for_person)
    return Path(str(settings.api_key_file)).absolute()


def _prompt_for_key() -> str:
    from callers_mcp.cli.runtime import exit_with_usage_error
    from callers_mcp.settings import is_key, is_placeholder, variable

    if sys.stdin is None or not sys.stdin.isatty():
        exit_with_usage_error(f"there is no API key: set {variable('api_key')}, or run this command on a terminal.")
    key = str(click.prompt("API key of the organization (not shown)", hide_input=True, err=True)).strip()
    if not is_key(key) or is_placeholder(key):
        exit_with_usage_error("this is not a valid API key: it must be one line of visible ASCII.")
    return key


@contextmanager
def _install_key(host: str, key: str | None) -> Iterator[bool]:
    """Store the key in its file, and yield whether that changed the file; restore the file if the block fails."""
    from callers_mcp.install import key_file, plan
    from callers_mcp.install.registry import HOSTS

    file = key_file.path(host)
    earlier = key_file.read(file)
    if key is None or key == earlier:
        yield False
        return
    key_file.write(file, key)
    try:
        yield True
    except plan.CommandNotFound:
        raise  # the printed line needs the key file
    except BaseException:
        with suppress(plan.InstallationError):
            current = plan.plan_change(HOSTS[host], None).current
            if key_file.path_in_entry(current, host) != file:  # if it is, a simultaneous installation needs the file
                key_file.write(file, earlier)
        raise


def _backup_note(backup: Path | None) -> str:
    return f"; the earlier file is kept as {backup.name}" if backup else ""


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Exit with code 1 and a message that says what to do next, if the change can't be made."""
    from callers_mcp.install.plan import InstallationError

    try:
        yield
        return
    except InstallationError as error:
        click.echo(f"callers-mcp: {error}", err=True)
        click.echo(error.lines, nl=False)
    except OSError as error:  # from the key file, or from waiting for another installation
        name = f"{error.filename}: " if error.filename else ""
        click.echo(f"callers-mcp: {name}{error.strerror or error}", err=True)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1)
