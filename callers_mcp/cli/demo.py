"""``callers-mcp demo``: a real client, the real server and a simulated API, without an account."""

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mcp import Client


@click.command(epilog="Example: callers-mcp demo --html samples.html")
@click.option("--all", "show_all", is_flag=True, help="Show each sample campaign, and an error.")
@click.option(
    "--html", "page", metavar="FILE", type=click.Path(path_type=Path), help="Write the campaigns' cards as a page."
)
def demo(show_all: bool, page: Path | None) -> None:
    """Show the server at work on sample campaigns; needs no account.

    Starts a simulated Callers API, spawns this server over stdio, and looks up campaigns with the MCP SDK's own client.
    """
    import anyio

    results = anyio.run(_demo, show_all)
    if page:
        from callers_mcp.cli.get import write_cards

        sys.exit(write_cards(page, results))


async def _demo(show_all: bool) -> list[dict[str, Any]]:
    """Run the demo; return the structured content of the look-ups, of which only the first is printed by default."""
    from mcp import Client, StdioServerParameters, stdio_client

    from callers_mcp.cli.runtime import progress, sandbox_settings, say
    from callers_mcp.install.entry import server_command
    from callers_mcp.sandbox import MISSING_ID, SAMPLES, Sandbox
    from callers_mcp.settings import variable

    async with AsyncExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        click.echo(f"A simulated Callers API is running on {sandbox.base_url}.")
        environment = {variable(field): value for field, value in sandbox_settings(sandbox).items() if value}
        environment[variable("log_level")] = "WARNING"
        command, *arguments = server_command()
        parameters = StdioServerParameters(command=command, args=arguments, env=environment)
        with progress("starting the server"):
            client = await stack.enter_async_context(Client(stdio_client(parameters)))
            tools = ", ".join(tool.name for tool in (await client.list_tools()).tools)
        say(f"{command} serves over stdio (MCP {client.protocol_version}). Its tools: {tools}.")
        click.echo("Below are some calls, each with what a model receives.")
        await _call(client, "find_campaigns", {"query": "sprng renewal"})
        results: list[dict[str, Any] | None] = []
        for campaign_id, (sub_organization_id, _) in SAMPLES.items():
            where = {"sub_organization_id": sub_organization_id} if sub_organization_id else {}
            is_shown = show_all or not results
            results.append(await _call(client, "get_campaign", {"campaign_id": campaign_id} | where, show=is_shown))
        if show_all:
            await _call(client, "get_campaign", {"campaign_id": MISSING_ID})
    _print_next_steps(show_all)
    return [result for result in results if result]


async def _call(client: "Client", tool: str, arguments: dict[str, Any], *, show: bool = True) -> dict[str, Any] | None:
    """Call a tool, print what the model would receive if ``show`` is set, and return the structured content."""
    result = await client.call_tool(tool, arguments)
    texts = [block.text for block in result.content if block.type == "text"]
    if show:
        click.echo()
        click.secho(f"{tool} {json.dumps(arguments)}", bold=True)
        for line in texts[0].splitlines():
            click.secho(f"  {line}", fg="red" if result.is_error else None)
        if len(texts) > 1:
            click.secho(f"  {texts[1][:44]}... ({len(texts[1])} characters of raw JSON)", dim=True)
    structured: dict[str, Any] | None = result.structured_content
    return structured


def _print_next_steps(show_all: bool) -> None:
    from callers_mcp.cli.program import install_command, program
    from callers_mcp.install.entry import is_ephemeral

    command = "callers-mcp" if is_ephemeral() else program()
    click.echo()
    if not show_all:
        click.echo(f"More campaigns, an error:   {program()} demo --all")
    click.secho("Next: add the server to a host", bold=True)
    if is_ephemeral():
        click.echo(f"Install it permanently:     {install_command()}")
    click.echo(f"With the sample campaigns:  {command} install claude-desktop --sandbox")
    click.echo(f"With your API key:          {command} install claude-desktop")
    click.echo(f"Text for any other host:    {command} config other")
