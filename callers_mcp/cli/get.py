"""``callers-mcp get``: one look-up, for scripts."""

import sys

import click


@click.command(epilog="Example: callers-mcp get 665f1c2ab1e4a9d0c7f3b812 --json")
@click.argument("campaign_id", metavar="ID")
@click.option("--sub-organization", metavar="ID", help='Where to look: its id, or "main".')
@click.option("--json", "form", flag_value="json", help="Print summary and raw as one JSON object.")
@click.option("--raw", "form", flag_value="raw", help="Print the raw campaign JSON alone.")
def get(campaign_id: str, sub_organization: str | None, form: str | None) -> None:
    """Look one campaign up and print the summary that a model gets.

    Exit code: 0 found; 1 the look-up failed; 2 a malformed id, wrong usage, wrong settings or no key.
    """
    import anyio

    from callers_mcp import logs
    from callers_mcp.api.client import CallersClient
    from callers_mcp.api.errors import CallersError, InvalidArguments, NotConfigured
    from callers_mcp.campaign.text import raw_text, summary_text
    from callers_mcp.cli.configuration import load_settings
    from callers_mcp.tools.get_campaign import GET_CAMPAIGN, GetCampaignOutput

    settings = load_settings()
    logs.configure(settings, quiet=True)

    async def look_up() -> GetCampaignOutput:
        async with CallersClient(settings) as client:
            arguments = GET_CAMPAIGN.parse({"campaign_id": campaign_id, "sub_organization_id": sub_organization})
            return await GET_CAMPAIGN.run(arguments, client, None)

    try:
        output = anyio.run(look_up)
    except CallersError as error:
        click.echo(f"callers-mcp: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidArguments | NotConfigured) else 1)
    if form == "json":
        click.echo(raw_text(output.model_dump()))
    else:
        click.echo(raw_text(output.raw) if form == "raw" else summary_text(output.summary))
