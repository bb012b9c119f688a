"""``callers-mcp token``: add, list and revoke the tokens of a hosted server."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from callers_mcp.cli.runtime import exit_with_usage_error, progress, require_http_extra, say

if TYPE_CHECKING:
    from callers_mcp.access import AllowedOrganizations

_EPILOG = """\b
Examples:
  callers-mcp token add support --main
  callers-mcp token add ci --sub-organization 66a0c0ffee0000000000beef
  callers-mcp token revoke ci
"""


@click.group(epilog=_EPILOG)
def token() -> None:
    """Manage the tokens of a hosted server, and what each may see.

    The token file is the one that CALLERS_HTTP_TOKEN_FILE names, or else one in your config folder. A running server
    applies changes within seconds.

    Exit code: 0 done; 1 failed; 2 wrong usage or settings.
    """


def _validate_ids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from callers_mcp.access import WILDCARD
    from callers_mcp.settings import is_placeholder, parse_organization

    if WILDCARD in values:
        raise click.BadParameter("for every organization use --all.")
    try:
        if any("," in value or is_placeholder(value) for value in map(parse_organization, values)):
            raise ValueError("not an id")
    except ValueError:
        raise click.BadParameter("it takes one id each time: visible ASCII without spaces or commas.") from None
    return values


@token.command(epilog="Example: callers-mcp token add support --main")
@click.argument("name")
@click.option("--main", is_flag=True, help="May see the main organization.")
@click.option(
    "--sub-organization",
    "ids",
    metavar="ID",
    multiple=True,
    callback=_validate_ids,
    help="May see this sub-organization; repeatable.",
)
@click.option("--all", "unrestricted", is_flag=True, help="May see every organization, including main.")
def add(name: str, main: bool, ids: tuple[str, ...], unrestricted: bool) -> None:
    """Create a token and print it. It is printed only once, because only its digest is stored.

    NAME may have up to 64 of the characters A-Z a-z 0-9 . _ - and appears in the audit log.
    """
    from callers_mcp.access import UNRESTRICTED, AllowedOrganizations
    from callers_mcp.http.auth import token_store
    from callers_mcp.settings import MAIN

    if not (main or ids or unrestricted):
        raise click.UsageError("Set what the token may see: --main, --sub-organization ID (repeatable) or --all.")
    organizations = UNRESTRICTED if unrestricted else AllowedOrganizations.parse([MAIN, *ids] if main else ids)
    with _token_file() as path:
        bearer_token = token_store.add(path, name, organizations)
    try:
        say(f"Added {name} to {path}. This is its token, which is shown only once:", err=True)
        if sys.stdout is None:
            raise OSError("There is no stdout to print the token to.")
        click.echo(bearer_token)
    except OSError:
        with suppress(token_store.TokenFileError):
            token_store.revoke(path, name)  # the token was not printed, so it is of no use
        raise


@token.command("list", epilog="Example: callers-mcp token list")
def list_tokens() -> None:
    """List the tokens: name, what each may see, and when it was created."""
    from callers_mcp.http.auth import token_store

    with _token_file() as path:
        records = token_store.read(path)
    if not records:
        say(f"There are no tokens in {path}.")
        return
    rows = [
        ("NAME", "MAY SEE", "CREATED"),
        *((record.name, _access_text(record.organizations), record.created) for record in records),
    ]
    names, access = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        click.echo(f"{row[0]:{names}}  {row[1]:{access}}  {row[2]}")


@token.command(epilog="Example: callers-mcp token revoke ci")
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a token. Running servers refuse it within seconds, without a restart."""
    from callers_mcp.http.auth import token_store

    with _token_file() as path:
        token_store.revoke(path, name)
    say(f"Revoked {name} in {path}.")


@contextmanager
def _token_file() -> Iterator[Path]:
    """Yield the token file's path.

    Exit with one line: with code 2 if the setting is wrong, or with code 1 if the file can't be read or changed.
    """
    require_http_extra()
    from callers_mcp.http.auth.token_store import TokenFileError, default_path
    from callers_mcp.settings import HTTP_PREFIX, expand_user, is_placeholder

    variable = f"{HTTP_PREFIX}TOKEN_FILE"
    setting = os.environ.get(variable, "").strip()
    if is_placeholder(setting):
        exit_with_usage_error(f"{variable} holds a placeholder that was not filled in; set it to a path.")
    try:
        path = expand_user(Path(setting)) if setting else default_path()
        with progress(f"waiting for {path}"):
            yield path
    except TokenFileError as error:
        click.echo(f"callers-mcp: {error}", err=True)
        sys.exit(1)


def _access_text(organizations: "AllowedOrganizations") -> str:
    if organizations.sub_organizations is None:
        return "everything" if organizations.main else "every sub-organization"
    return ", ".join(organizations.ids()) or "nothing"
