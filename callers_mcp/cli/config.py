"""``callers-mcp config``: print the text for a host's configuration, for people who edit it by hand."""

import os

import click

from callers_mcp.cli.host_argument import HostType

_CONNECTOR = """\
{title} reaches a hosted server through a connector, not through its configuration file.
Add one in Settings > Connectors > Add custom connector, with this URL:
{url}
The URL must be reachable from the internet, and the server must use CALLERS_HTTP_AUTH=oauth so that people sign in.
"""


@click.command(epilog="Example: callers-mcp config vscode --url https://callers.example.com/mcp")
@click.argument("host", type=HostType())
@click.option("--url", metavar="URL", help="Configure a hosted server at this URL.")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
def config(host: str, url: str | None, use_sandbox: bool) -> None:
    """Print the text to put into a host's configuration.

    HOST is claude-desktop, claude-code, cursor, vscode, codex or gemini-cli. No file is changed. Replace the
    placeholder with your API key.
    """
    from callers_mcp.install import entry, plan
    from callers_mcp.install.registry import HOSTS, Platform
    from callers_mcp.settings import SECURE_URL, check_url

    row = HOSTS[host]
    if url is not None:
        if use_sandbox:
            raise click.UsageError("--sandbox is for a server that the host starts; it can't be used with --url.")
        try:
            check_url(url)
        except ValueError:
            raise click.BadParameter(f"use {SECURE_URL}.", param_hint="--url") from None
        if row.remote is None:
            click.echo(_CONNECTOR.format(title=row.title, url=url), nl=False)
            return
        content = {**row.remote, row.url: url}
        click.echo(f"If the server requires a token, add: {row.authorization}", err=True)
    else:
        content = entry.stdio_entry(
            row, {} if use_sandbox else _settings(in_command=bool(row.command)), sandbox=use_sandbox
        )
    if not row.command:
        click.echo(f"Put this into {row.config(Platform())}:", err=True)
    click.echo(plan.snippet(row, content), nl=False)


def _settings(*, in_command: bool) -> dict[str, str]:
    from callers_mcp.cli.runtime import load_settings
    from callers_mcp.install import entry

    file = load_settings().api_key_file
    if file or in_command:
        key = {entry.API_KEY_FILE: str(file.absolute()) if file else entry.KEY_FILE_PLACEHOLDER}
    else:
        key = {entry.API_KEY: entry.KEY_PLACEHOLDER}
    return key | entry.settings_to_copy(os.environ)
