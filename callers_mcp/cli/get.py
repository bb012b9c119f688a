"""``callers-mcp get``: look up one campaign, for scripts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from callers_mcp.cli.check import use_entry
from callers_mcp.cli.host_argument import HostType


@click.command(epilog="Example: callers-mcp get 665f1c2ab1e4a9d0c7f3b812 --json")
@click.argument("campaign_id", metavar="ID")
@click.option("--sub-organization", metavar="ID", help='Where to look: an id, or "main".')
@click.option("--host", type=HostType(), help="Use the settings of the server that is installed in this host.")
@click.option("--json", "form", flag_value="json", help="Print summary and raw as one JSON object.")
@click.option("--raw", "form", flag_value="raw", help="Print only the raw campaign JSON.")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Look among sample campaigns; needs no key.")
@click.option(
    "--html", "page", metavar="FILE", type=click.Path(path_type=Path), help="Write the campaign card as a page."
)
def get(
    campaign_id: str,
    sub_organization: str | None,
    host: str | None,
    form: str | None,
    page: Path | None,
    use_sandbox: bool,
) -> None:
    """Look up one campaign, and print its summary.

    Exit code: 0 found; 1 the look-up failed, or FILE can't be written; 2 a malformed id, wrong usage, wrong
    settings or no key.
    """
    if form and page:
        raise click.UsageError(f"--html writes a page and prints nothing; leave out --{form}.")
    if host and use_sandbox:
        raise click.UsageError("--sandbox can't be used with --host.")
    from callers_mcp import logs
    from callers_mcp.api.client import CallersClient
    from callers_mcp.api.errors import CallersError, InvalidArguments, NotConfigured
    from callers_mcp.campaign import lookup
    from callers_mcp.campaign.text import raw_text
    from callers_mcp.cli.runtime import load_settings, progress, run_and_exit, start_sandbox

    if host:
        use_sandbox = "--sandbox" in use_entry(host)["args"]
    settings = load_settings(start_sandbox() if use_sandbox else None)
    logs.configure(settings, command=True)
    for notice in settings.notices:
        click.echo(f"callers-mcp: {CallersClient(settings).mask(notice)}", err=True)

    async def look_up() -> int:
        async with CallersClient(settings) as client:
            try:
                with progress(f"waiting for {settings.base_url}"):
                    report = await lookup.look_up(client, campaign_id, sub_organization)
            except CallersError as error:
                hint = " To use the settings of an installed server, add --host HOST."
                no_hint = host or not isinstance(error, NotConfigured)
                click.echo(f"callers-mcp: {client.mask(error.message_for_person)}{'' if no_hint else hint}", err=True)
                return 2 if isinstance(error, InvalidArguments | NotConfigured) else 1
        if page:
            return write_cards(page, [report.model_dump()])
        texts = {"json": lambda: raw_text(report.model_dump()), "raw": report.raw_text, None: report.summary_text}
        click.echo(texts[form]())
        return 0

    run_and_exit(look_up)


def write_cards(page: Path, results: Sequence[Mapping[str, Any]]) -> int:
    """Write the cards of the results as a page, print its path on stderr, and return the exit code."""
    from callers_mcp import files
    from callers_mcp.cli.runtime import say
    from callers_mcp.server.card import card_page

    try:
        files.write(page, card_page(results).encode(), private=True)  # a campaign's URLs can be credentials
    except OSError as error:
        say(f"callers-mcp: {page} can't be written: {error.strerror}", err=True)
        return 1
    say(f"callers-mcp: wrote {page}, which only you can read; open it in a browser", err=True)
    return 0
