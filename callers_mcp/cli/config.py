"""``callers-mcp config``: what belongs into a host's configuration, for people who put it there by hand."""

import os
from contextlib import suppress
from urllib.parse import urlsplit

import click

from callers_mcp.cli.host_argument import HostType

_CONNECTOR = """\
{title} takes a hosted server as a connector, not in its configuration:
Settings > Connectors > Add custom connector, with the URL
{url}
The URL must be reachable from the internet, and the server must have people sign in (CALLERS_HTTP_AUTH=oauth).
"""


@click.command(epilog="Example: callers-mcp config vscode --url https://callers.example.com/mcp")
@click.argument("host", type=HostType())
@click.option("--url", metavar="URL", help="For a hosted server at this URL.")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
def config(host: str, url: str | None, use_sandbox: bool) -> None:
    """Print what goes into a host's configuration.

    HOST is claude-desktop, claude-code, cursor, vscode, codex or gemini-cli. Nothing is written; the key is
    left open, for you to fill in.
    """
    from callers_mcp.install import entry, plan
    from callers_mcp.install.registry import HOSTS, Platform

    row = HOSTS[host]
    if url is not None:
        if use_sandbox:
            raise click.UsageError("--sandbox is for a server that the host starts, not for one at a URL.")
        if not _is_usable(url):
            raise click.BadParameter("give an https URL, or http on loopback.", param_hint="--url")
        if row.remote is None:
            click.echo(_CONNECTOR.format(title=row.title, url=url), nl=False)
            return
        content = {**row.remote, row.url: url}
        click.echo(f"If the server asks for a token, add: {row.authorization}", err=True)
    else:
        content = entry.stdio_entry(row, {} if use_sandbox else _settings(), sandbox=use_sandbox)
    if not row.command:
        click.echo(f"For {row.config(Platform())}:", err=True)
    click.echo(plan.snippet(row, content), nl=False)


def _settings() -> dict[str, str]:
    from callers_mcp.cli.runtime import load_settings
    from callers_mcp.install import entry

    file = load_settings().api_key_file
    if file:
        with suppress(RuntimeError):  # of a user who is not here: the server will say so
            file = file.expanduser()
    key = {entry.API_KEY_FILE: str(file.absolute())} if file else {entry.API_KEY: entry.KEY_PLACEHOLDER}
    return key | entry.settings_to_copy(os.environ)


def _is_usable(url: str) -> bool:
    from callers_mcp.settings import is_loopback

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    return bool(secure and host and url.isascii() and url.isprintable() and not set(" @#\"'\\<>") & set(url))
