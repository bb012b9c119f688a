"""``callers-mcp check``: what is configured, and whether the API answers."""

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from callers_mcp.settings import Settings


@click.command(epilog="Example: callers-mcp check --campaign-id 665f1c2ab1e4a9d0c7f3b812")
@click.option("--campaign-id", metavar="ID", help="Look this campaign up, which tests the key too.")
def check(campaign_id: str | None) -> None:
    """Say what is configured, and whether the API answers.

    Exit code: 0 all is well; 1 something was found; 2 wrong settings or a malformed id.
    """
    import anyio

    from callers_mcp import logs
    from callers_mcp.api.errors import CallersError
    from callers_mcp.cli.configuration import load_settings
    from callers_mcp.tools.get_campaign import GET_CAMPAIGN

    settings = load_settings()
    logs.configure(settings, quiet=True)
    arguments = None
    if campaign_id is not None:
        try:
            arguments = GET_CAMPAIGN.parse({"campaign_id": campaign_id})
        except CallersError as error:
            raise click.UsageError(str(error)) from None
    findings = _configuration(settings)

    async def ask() -> str:
        from callers_mcp.api.client import CallersClient

        async with CallersClient(settings) as client:
            started = time.perf_counter()
            if arguments:
                output = await GET_CAMPAIGN.run(arguments, client, None)
                what = f"campaign {arguments.campaign_id} found: {output.summary.headline}"
            else:
                status = await client.probe()
                what = (
                    f"answers (status {status} to a request without a key); the key is not tested: give --campaign-id"
                )
            return f"{what} [{(time.perf_counter() - started) * 1000:.0f} ms]"

    try:
        _line("API", anyio.run(ask))
    except CallersError as error:
        _line("API", str(error), good=False)
        findings += 1
    sys.exit(1 if findings else 0)


def _configuration(settings: "Settings") -> int:
    """Print what is configured; return how many findings there are."""
    from callers_mcp.api.connection import proxy_variables
    from callers_mcp.api.errors import NotConfigured
    from callers_mcp.api.key import KeySource, require_filled_in
    from callers_mcp.settings import MAIN, Settings, variable

    findings = 0
    keys = KeySource(settings)
    try:
        keys.current()
        _line("API key", f"set, from {keys.variable}")
    except NotConfigured as error:
        _line("API key", f"not set. {error}", good=False)
        findings += 1
    _line("Base URL", settings.base_url)
    if settings.base_url_is_loopback:
        _line("Proxy", "none, as the API is on this machine")
    else:
        _line("Proxy", f"as {', '.join(named)} says" if (named := proxy_variables()) else "none in the environment")
    try:
        require_filled_in(settings, "sub_organization_id", "sub_organizations")
        _line("Looks into", settings.sub_organization_id or MAIN)
        _line("May look into", ", ".join(settings.sub_organizations or ["anywhere that the key may"]))
    except NotConfigured as error:
        _line("Looks into", str(error), good=False)
        findings += 1
    for field in ("timeout", "max_attempts", "max_connections", "max_body_bytes", "log_level", "redact_urls"):
        if (value := getattr(settings, field)) != Settings.model_fields[field].default:
            _line(variable(field), str(value))
    for notice in settings.notices:
        _line("Setting", notice, good=False)
    return findings + len(settings.notices)


def _line(title: str, text: str, *, good: bool = True) -> None:
    click.echo(f"{click.style('ok   ' if good else 'FOUND', fg='green' if good else 'red')}  {title}: {text}")
