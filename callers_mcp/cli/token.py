"""``callers-mcp token``: who is let in to a hosted server by a token, and what they may see."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    """Say who may call a hosted server by a token, and what they may see.

    The file is the one that CALLERS_HTTP_TOKEN_FILE names, or one in your config folder. A server that reads it takes
    changes up within seconds.

    Exit code: 0 done; 1 it can't be done; 2 wrong usage or settings.
    """


def _validate_ids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from callers_mcp.access import WILDCARD
    from callers_mcp.settings import SUB_ORGANIZATION_ID, is_placeholder

    for value in values:
        if value == WILDCARD:
            raise click.BadParameter("for every organization give --all.")
        if "," in value or is_placeholder(value) or not SUB_ORGANIZATION_ID.fullmatch(value):
            raise click.BadParameter("give one id each time: visible ASCII without spaces or commas.")
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
    help="May see this one; repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="May see every organization, main too.")
def add(name: str, main: bool, ids: tuple[str, ...], everything: bool) -> None:
    """Make a token and print it: once, as only its digest is stored.

    NAME takes up to 64 of A-Z a-z 0-9 . _ - and stands in the audit.
    """
    from callers_mcp.access import UNRESTRICTED, AllowedOrganizations
    from callers_mcp.http.auth import token_store
    from callers_mcp.settings import MAIN

    if not (main or ids or everything):
        raise click.UsageError("Say what the token may see: --main, --sub-organization ID (repeatable) or --all.")
    organizations = UNRESTRICTED if everything else AllowedOrganizations.parse([MAIN, *ids] if main else ids)
    path = _token_file_path()
    with _exit_on_error():
        text = token_store.add(path, name, organizations)
    try:
        click.echo(f"Added {name} to {path}. This is its token, shown this once:", err=True)
        if sys.stdout is None:
            raise OSError("There is no stdout to print the token to.")
        click.echo(text)
    except OSError:
        with suppress(token_store.TokenFileError):
            token_store.revoke(path, name)  # nobody has it
        raise


@token.command("list", epilog="Example: callers-mcp token list")
def list_tokens() -> None:
    """List the tokens: name, what each may see, and when it was made."""
    from callers_mcp.http.auth import token_store

    path = _token_file_path()
    with _exit_on_error():
        records = token_store.read(path)
    if not records:
        click.echo(f"There are no tokens in {path}.")
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
    """Revoke a token: it is refused within seconds, without a restart."""
    from callers_mcp.http.auth import token_store

    path = _token_file_path()
    with _exit_on_error():
        token_store.revoke(path, name)
    click.echo(f"Revoked {name} in {path}.")


def _token_file_path() -> Path:
    """Return the token file's path, or end with exit code 2 and one line."""
    from callers_mcp.cli.runtime import exit_with_usage_error, require_http_extra

    require_http_extra()
    from callers_mcp.http.auth.token_store import default_path
    from callers_mcp.settings import HTTP_PREFIX, is_placeholder

    variable = f"{HTTP_PREFIX}TOKEN_FILE"
    text = os.environ.get(variable, "").strip()
    if not text:
        return default_path()
    if is_placeholder(text):
        exit_with_usage_error(f"{variable} holds a placeholder that was not filled in; set it to a path.")
    path = Path(text)
    with suppress(RuntimeError):  # of a user who is not here: there will be no such file
        path = path.expanduser()
    return path


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """End with exit code 1 and one line where the file can't be read or changed."""
    from callers_mcp.http.auth.token_store import TokenFileError

    try:
        yield
    except TokenFileError as error:
        click.echo(f"callers-mcp: {error}", err=True)
        sys.exit(1)


def _access_text(organizations: "AllowedOrganizations") -> str:
    if organizations.sub_organizations is None:
        return "everything" if organizations.main else "every sub-organization"
    return ", ".join(organizations.ids()) or "nothing"
