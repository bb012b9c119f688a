"""What ``callers-mcp install`` and ``uninstall`` do."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from callers_mcp.api.errors import NotConfigured
from callers_mcp.api.key import KeySource
from callers_mcp.cli.program import install_command, program
from callers_mcp.cli.runtime import ask, exit_with_usage_error, load_settings, parse_campaign_id, progress, say
from callers_mcp.files import remove_leftovers
from callers_mcp.install import entry, key_file, plan
from callers_mcp.install.lock import exclusive
from callers_mcp.install.plan import Change, InstallationError
from callers_mcp.install.registry import HOSTS, Host, Platform
from callers_mcp.sanitize import sanitize
from callers_mcp.settings import MAIN, Settings, SettingsError, is_key, is_placeholder, variable

_ORGANIZATION_ID = "CALLERS_ORGANIZATION_ID"
_LISTED_BY = {_ORGANIZATION_ID, "CALLERS_SUB_ORGANIZATION_ID", "CALLERS_SUB_ORGANIZATIONS"}


def install(
    host: str | None, use_sandbox: bool, dry_run: bool, campaign_id: str | None, no_check: bool, yes: bool
) -> None:
    """Run the command ``install``; its options are described there."""
    if host is None:
        _list_hosts()
        return
    if use_sandbox and campaign_id:
        raise click.UsageError("--campaign-id needs a key; it can't be used with --sandbox.")
    if campaign_id is not None:
        campaign_id = parse_campaign_id(campaign_id)
    row, file = HOSTS[host], key_file.path(host)
    key, settings = None, dict[str, str]()
    with _exit_on_error():
        plan.require_editable(row, host, adds=True)
        if not use_sandbox:
            key, settings = _key_and_settings(file, prompt=not dry_run)
        if entry.is_ephemeral() and not dry_run:
            raise InstallationError(
                "this installation is temporary, and the host needs one that stays. Install the package permanently "
                f"first: {install_command()}"
            )
        if campaign_id is not None:
            from callers_mcp.cli.key_test import name_and_organization

            _, organization = name_and_organization(_settings_with(row, key, settings), campaign_id)
            settings[_ORGANIZATION_ID] = organization
        wanted = entry.stdio_entry(row, settings, sandbox=use_sandbox)
        is_same = plan.plan_change(row, wanted).is_noop and key in (None, key_file.read(file))
        if not dry_run and not is_same:
            _prepare(row, may_ask=not yes and is_terminal())
            if not (use_sandbox or no_check) and is_terminal():
                _test_key(row, key, settings, may_ask=not yes and campaign_id is None)
                wanted = entry.stdio_entry(row, settings)
        with progress(f"changing the configuration of {row.title}"), exclusive():
            change = plan.plan_change(row, wanted)
            earlier_key = key_file.read(file)
            is_new_key = key not in (None, earlier_key)
            is_unused = file.exists() and Path(settings.get(entry.API_KEY_FILE, "")).resolve() != file.resolve()
            if dry_run:
                click.echo(change.as_text() or "Nothing would change.\n", nl=False)
                if is_new_key:
                    say(f"The key would be stored in {file}.")
                if is_unused:
                    say(f"The key file {file} would be removed.")
                return
            if key is None and earlier_key is None and settings.get(entry.API_KEY_FILE) == str(file):
                raise InstallationError("an uninstallation has removed the key in the meantime. Try again.")
            remove_leftovers(file)  # of an installation that was killed
            backup = _apply(change, file, key, earlier_key) if is_new_key else plan.apply(change)
            if is_unused:
                key_file.write(file, None)
    if change.is_noop and not is_new_key and not is_unused:
        say(f"{row.title} already has this server ({change.config}); nothing was changed.")
        if not use_sandbox:
            click.echo(_search_note(host, change))
        return
    say(f"Installed this server in {row.title} ({change.config}){_backup_note(backup)}.")
    if key_path := settings.get(entry.API_KEY_FILE):
        say(f"The key is in {key_path}.")
    if is_unused:
        say(f"Removed the key file {file}.")
    if entry.is_in_temporary_folder():
        say(f"Note: this installation is in a temporary folder ({sys.prefix}). The host needs it to stay there.")
    for note in row.notes(Platform()):
        click.echo(f"Note: {note}")
    if not use_sandbox:
        click.echo(_search_note(host, change))
    click.echo(f"Next: {row.next_step}")
    click.echo(f"To check it: {program()} check --host {host}")


def uninstall(host: str, dry_run: bool) -> None:
    """Run the command ``uninstall``."""
    row = HOSTS[host]
    with _exit_on_error(), progress(f"changing the configuration of {row.title}"), exclusive():
        plan.require_editable(row, host)
        change = plan.plan_change(row, None)
        files = {key_file.path(host), key_file.path_in_entry(change.current, host) or key_file.path(host)}
        keys = sorted(file for file in files if file.exists())
        if dry_run:
            click.echo(change.as_text() or "Nothing would change.\n", nl=False)
            for file in keys:
                say(f"The key file {file} would be removed.")
            return
        if row.before and not change.is_noop:
            click.echo(row.before)
        backup = plan.apply(change)
        for file in files:
            key_file.write(file, None)
    if change.is_noop:
        say(f"{row.title} does not have this server ({change.config}); nothing was changed.")
    else:
        say(f"Removed this server from {row.title} ({change.config}){_backup_note(backup)}.")
    for file in keys:
        say(f"Removed the key file {file}.")


def _list_hosts() -> None:
    """Print the hosts on this machine with their commands."""
    platform = Platform()
    found = {name: row for name, row in HOSTS.items() if row.is_found(platform)}
    click.echo("Hosts on this machine:" if found else "No known host was found on this machine.")
    for name, row in found.items():
        command = "config" if row.by_hand else "install"
        click.echo(f"  {row.title}: {program()} {command} {name}")
    click.echo(f"All hosts: {', '.join(HOSTS)}. For another host: {program()} config other")


def is_terminal() -> bool:
    """Return whether a person can answer questions."""
    return sys.stdin is not None and sys.stdin.isatty()


def _prepare(row: Host, *, may_ask: bool) -> None:
    """Say what the user must know before the change, and ask whether to go on; exit with code 1 if not."""
    platform = Platform()
    if not row.is_found(platform) and not row.command:
        missing = f"{row.title} seems not to be on this machine: {row.host_folder(platform)} does not exist."
        if may_ask:
            ask(click.confirm, f"{sanitize(missing)} Create it?", abort=True)
        else:
            say(f"callers-mcp: {missing} It is created.", err=True)
    if row.before:
        click.echo(row.before)
        if may_ask:
            ask(click.confirm, "Go on?", abort=True)


def _settings_with(row: Host, key: str | None, settings: Mapping[str, str]) -> Settings:
    """Return the settings of the server that is installed; ``key`` is not yet in its file."""
    known = {**_present_variables(row), **settings}
    kept = {field: known.get(variable(field), "") for field in Settings.model_fields}
    try:
        return Settings.from_environment(**kept | {"api_key": key or ""} | ({"api_key_file": ""} if key else {}))
    except SettingsError as error:
        raise InstallationError(f"{error} It is in the entry in {row.title}; set another value.") from None


def _present_variables(row: Host) -> dict[str, str]:
    """Return the variables of the present entry, which an installation keeps; an empty dictionary without one."""
    present = (plan.plan_change(row, None).current or {}).get("env")
    return {name: str(value) for name, value in present.items()} if isinstance(present, dict) else {}


def _test_key(row: Host, key: str | None, settings: dict[str, str], *, may_ask: bool) -> None:
    """Test the key, and add the organization's id to the settings if the user gives a campaign of it."""
    from callers_mcp.cli import key_test  # takes long to import

    key_test.check_key(_settings_with(row, key, settings))
    if may_ask and _ORGANIZATION_ID not in {**_present_variables(row), **settings}:
        organization = key_test.ask_for_organization(_settings_with(row, key, settings))
        if organization is not None:
            settings[_ORGANIZATION_ID] = organization


def _search_note(host: str, change: Change) -> str:
    """Return a line that says whether campaigns are found by name."""
    environment = (change.desired or {})["env"]
    ids = ",".join(str(environment.get(name, "")) for name in _LISTED_BY).lower().split(",")
    if any(each.strip() not in ("", MAIN) for each in ids):
        return "Search by name is on."
    return f"Search by name is off. To switch it on: {program()} install {host} --campaign-id ID"


def _key_and_settings(file: Path, *, prompt: bool) -> tuple[str | None, dict[str, str]]:
    """Return the key to store in ``file`` (None if no key must be stored) and the environment of the entry.

    Exit with code 2 if the settings are wrong or there is no key.
    """
    settings = load_settings()
    if settings.unresolved:
        exit_with_usage_error(f"{' and '.join(settings.unresolved)} holds a placeholder; set it to its value.")
    for notice in settings.notices:
        say(f"callers-mcp: {notice}", err=True)
    key = None
    if settings.api_key_file:
        stored_key(settings, required=True)
        file = settings.api_key_file.absolute()
    elif settings.api_key:
        key = settings.api_key.get_secret_value()
    elif prompt and key_file.read(file) is None:
        key = _prompt_for_key()
    return key, {entry.API_KEY_FILE: str(file), **environment_to_copy(key or key_file.read(file))}


def environment_to_copy(key: str | None) -> dict[str, str]:
    """Return the variables that an entry takes from the environment; say on stderr which have a login and are not.

    Exit with code 2 if one of them holds the key by mistake: an entry, a preview and a command line must not have it.
    """
    network, logins = entry.network_settings(os.environ)
    for name in logins:
        say(
            f"callers-mcp: {name} has a user name or a password, so it is not in the entry. The server needs it to "
            "reach the API: use a proxy without a login, or add it to the entry's variables yourself.",
            err=True,
        )
    copied = entry.settings_to_copy(os.environ) | network
    for name, value in copied.items():
        if key and key.lower() in value.lower():
            exit_with_usage_error(f"{name} holds the API key; set it to its own value, or remove it.")
    return copied


def stored_key(settings: Settings, *, required: bool = False) -> str | None:
    """Return the key that the settings name. If there is none, return None, or exit with code 2 if it is required."""
    try:
        return KeySource(settings).current()
    except NotConfigured as error:
        if required:
            exit_with_usage_error(error.message_for_person)
        return None


def _prompt_for_key() -> str:

    if not is_terminal():
        exit_with_usage_error(f"there is no API key: set {variable('api_key')}, or run this command on a terminal.")
    key = str(ask(click.prompt, "API key of the organization (not shown)", hide_input=True)).strip()
    if not is_key(key) or is_placeholder(key):
        exit_with_usage_error("this is not a valid API key: it must be one line of visible ASCII.")
    return key


def _apply(change: Change, file: Path, key: str | None, earlier_key: str | None) -> Path | None:
    """Store the key and make the change; restore the earlier key if that fails. Return the path of the backup."""
    try:
        key_file.write(file, key)
        return plan.apply(change)
    except plan.CommandNotFound:
        raise  # the printed line needs the key file
    except BaseException:
        key_file.write(file, earlier_key)
        raise


def _backup_note(backup: Path | None) -> str:
    return f"; the earlier file is kept as {backup.name}" if backup else ""


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Exit with code 1 and a message that says what to do next, if the change can't be made."""
    try:
        yield
        return
    except InstallationError as error:
        say(f"callers-mcp: {error}", err=True)
        click.echo(error.lines, nl=False)
    except OSError as error:  # from the key file, or from waiting for another installation
        name = f"{error.filename}: " if error.filename else ""
        say(f"callers-mcp: {name}{error.strerror or error}", err=True)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1)
