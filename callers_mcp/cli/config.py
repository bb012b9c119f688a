"""``callers-mcp config``: print the text for a host's configuration, for people who edit it by hand."""

from pathlib import Path

import click

from callers_mcp.cli.host_argument import OTHER, HostType

_CONNECTOR = """\
{title} reaches a hosted server through a connector, not through its configuration file.
Add one in Settings > Connectors > Add custom connector, with this URL:
{url}
The URL must be reachable from the internet, and the server must use CALLERS_HTTP_AUTH=oauth so that people sign in.
"""
_REPLACE_TOKEN = "Replace <token> with your token."  # noqa: S105 - words, no token
_ANY_HOST = """\
Most hosts take this in a file that their settings open under MCP. If the file has "mcpServers", add only "callers".
The host's own documentation names the file, and the keys if it uses others."""


@click.command(epilog="Example: callers-mcp config vscode --url https://callers.example.com/mcp")
@click.argument("host", type=HostType(other=True))
@click.option("--url", metavar="URL", help="Configure a hosted server at this URL.")
@click.option("--token", "use_token", is_flag=True, help="With --url: the server requires a token.")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
def config(host: str, url: str | None, use_token: bool, use_sandbox: bool) -> None:
    """Print the text to put into a host's configuration.

    HOST is claude-desktop, claude-code, cursor, vscode, codex, gemini-cli, opencode, qwen-code, copilot-cli, cline,
    zed, devin-desktop, lm-studio, kiro, amp, kilo-code, warp, auggie, visual-studio, mistral-vibe, goose, antigravity,
    junie or crush; "other" is for any other host. No file is changed. Replace the placeholder with your API key.
    """
    from callers_mcp.cli.runtime import say
    from callers_mcp.install import entry, plan
    from callers_mcp.install.registry import ANY_HOST, HOSTS, Platform
    from callers_mcp.settings import SECURE_URL, check_url

    row, platform = ANY_HOST if host == OTHER else HOSTS[host], Platform()
    if use_token and url is None:
        raise click.UsageError("--token is for a hosted server; use it with --url.")
    if url is not None:
        platform = Platform(environment={}, home=Path("~"))  # the text is for the machines of other people too
        if use_sandbox:
            raise click.UsageError("--sandbox is for a server that the host starts; it can't be used with --url.")
        try:
            check_url(url)
        except ValueError:
            raise click.BadParameter(f"use {SECURE_URL}.", param_hint="--url") from None
        if row.connector:
            click.echo(_CONNECTOR.format(title=row.title, url=url), nl=False)
            return
        content = {**row.remote, row.url: url, **(row.token if use_token else {})}
        if use_token:
            is_variable = "CALLERS_TOKEN" in str(row.token)
            change = f"Set CALLERS_TOKEN to your token where {row.title} starts." if is_variable else _REPLACE_TOKEN
            click.echo(change, err=True)
    else:
        content = entry.stdio_entry(
            row, {} if use_sandbox else _settings(in_command=bool(row.command)), sandbox=use_sandbox
        )
    if host == OTHER:
        click.echo(_ANY_HOST, err=True)
    elif not row.command:
        say(f"Put this into {row.config(platform)}:", err=True)
    click.echo(plan.snippet(row, content), nl=False)


def _settings(*, in_command: bool) -> dict[str, str]:
    from callers_mcp.cli.installer import environment_to_copy, stored_key
    from callers_mcp.cli.runtime import load_settings
    from callers_mcp.install import entry

    settings = load_settings()
    file = settings.api_key_file
    if file or in_command:
        key = {entry.API_KEY_FILE: str(file.absolute()) if file else entry.KEY_FILE_PLACEHOLDER}
    else:
        key = {entry.API_KEY: entry.KEY_PLACEHOLDER}
    return key | environment_to_copy(stored_key(settings))
