"""``callers-mcp demo``: a real client, the real server and a simulated API, without an account."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mcp import Client


@click.command(epilog="Example: callers-mcp demo --html samples.html")
@click.option(
    "--html", "page", metavar="FILE", type=click.Path(path_type=Path), help="Write the campaigns' cards as a page."
)
def demo(page: Path | None) -> None:
    """Show the server at work on sample campaigns; needs no account.

    Starts a simulated Callers API, spawns this server over stdio, and looks up campaigns with the MCP SDK's own client.
    """
    import anyio

    results = anyio.run(_demo)
    if page:
        from callers_mcp.cli.get import write_cards

        sys.exit(write_cards(page, results))


async def _demo() -> list[dict[str, Any]]:
    """Run the demo, and return the structured content of the results."""
    from mcp import Client, StdioServerParameters, stdio_client

    from callers_mcp.install.entry import server_command
    from callers_mcp.sandbox import API_KEY, MISSING_ID, ORGANIZATION_ID, SAMPLES, Sandbox

    with Sandbox() as sandbox:
        click.echo(f"A simulated Callers API is running on {sandbox.base_url}.")
        environment = {
            "CALLERS_BASE_URL": sandbox.base_url,
            "CALLERS_API_KEY": API_KEY,
            "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID,
            "CALLERS_LOG_LEVEL": "WARNING",
        }
        command, *arguments = server_command()
        parameters = StdioServerParameters(command=command, args=arguments, env=environment)
        async with Client(stdio_client(parameters)) as client:
            tools = ", ".join(tool.name for tool in (await client.list_tools()).tools)
            click.echo(f"{command} serves over stdio (MCP {client.protocol_version}). Its tools: {tools}.")
            click.echo("Below are some calls, each with what a model receives.")
            await _call_and_print(client, "find_campaigns", query="sprng renewal")
            results = [
                await _call_and_print(
                    client, "get_campaign", campaign_id=campaign_id, sub_organization_id=sub_organization_id
                )
                for campaign_id, (sub_organization_id, _) in SAMPLES.items()
            ]
            await _call_and_print(client, "get_campaign", campaign_id=MISSING_ID)
    _print_next_steps()
    return [result for result in results if result]


async def _call_and_print(client: "Client", tool: str, **optional: str | None) -> dict[str, Any] | None:
    """Call a tool, print what the model would receive, and return the structured content."""
    arguments = {name: value for name, value in optional.items() if value}
    click.echo()
    click.secho(f"{tool} {json.dumps(arguments)}", bold=True)
    result = await client.call_tool(tool, arguments)
    texts = [block.text for block in result.content if block.type == "text"]
    for line in texts[0].splitlines():
        click.secho(f"  {line}", fg="red" if result.is_error else None)
    if len(texts) > 1:
        click.secho(f"  {texts[1][:100]}... ({len(texts[1])} characters of raw JSON)", dim=True)
    structured: dict[str, Any] | None = result.structured_content
    return structured


def _print_next_steps() -> None:
    from callers_mcp.install.entry import is_ephemeral, server_command
    from callers_mcp.install.plan import quote_command
    from callers_mcp.install.registry import HOSTS

    command = "callers-mcp" if is_ephemeral() else quote_command(server_command())
    click.echo()
    click.secho("Next: add the server to a host", bold=True)
    if is_ephemeral():
        click.echo("First install it permanently, for example with: uv tool install callers-mcp")
    click.echo(f"With the sample campaigns:  {command} install claude-desktop --sandbox")
    click.echo(f"With your API key:          {command} install claude-desktop")
    click.echo(f"Hosts: {', '.join(HOSTS)}. For any other host: {command} config other")
