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
    from callers_mcp.api.errors import CallersError
    from callers_mcp.api.key import KeySource
    from callers_mcp.settings import MAIN, Settings, variable

    findings = 0
    keys = KeySource(settings)
    try:
        if variable("api_key") in settings.unresolved:
            raise CallersError(f"not set: {variable('api_key')} holds a placeholder that the host did not fill in")
        keys.current()
        _line("API key", f"set, from {keys.variable}")
    except CallersError as error:
        _line("API key", f"not set. {error}", good=False)
        findings += 1
    _line("Base URL", settings.base_url)
    _line("Looks into", settings.sub_organization_id or MAIN)
    if settings.sub_organizations is not None:
        _line("May look into", ", ".join(settings.sub_organizations))
    for field in Settings.model_fields:
        value = getattr(settings, field)
        if (
            field not in ("base_url", "sub_organization_id", "sub_organizations")
            and value != Settings.model_fields[field].default
        ):
            if not field.startswith("api_key"):
                _line(variable(field), str(value))
    if settings.base_url_is_loopback:
        _line("Proxy", "none: the API is on this machine")
    else:
        _line("Proxy", f"as {', '.join(named)} says" if (named := proxy_variables()) else "none configured")
    for problem in (
        *(f"{name} holds a placeholder that the host did not fill in." for name in settings.unresolved),
        *settings.notices,
    ):
        _line("Setting", problem, good=False)
        findings += 1
    return findings


def _line(title: str, text: str, *, good: bool = True) -> None:
    click.echo(f"{click.style('ok   ' if good else 'FOUND', fg='green' if good else 'red')}  {title}: {text}")
