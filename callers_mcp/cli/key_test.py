"""Tests the key of an installation by a look-up, and reads the organization's id from a campaign."""

import re
import secrets

import anyio
import click

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, CampaignNotFound, Forbidden, Rejected, Unauthorized
from callers_mcp.api.request import is_object_id
from callers_mcp.campaign.lookup import CampaignReport, look_up
from callers_mcp.cli.runtime import ask, load_settings, progress
from callers_mcp.install.plan import InstallationError
from callers_mcp.sanitize import quote
from callers_mcp.settings import Settings

_QUESTION = "Paste a campaign's id to switch on search by name (Enter to skip)"


def check_key(settings: Settings) -> None:
    """Request a made-up campaign with the key, and print what the answer says about the key.

    Raises:
        InstallationError: The API refused the key.
    """
    click.echo(f"Testing the key at {settings.base_url} ...", err=True)
    try:
        _look_up(settings, secrets.token_hex(12))
    except Unauthorized as error:
        raise _installation_error(error, settings) from None
    except (CampaignNotFound, Forbidden, Rejected):
        click.echo("The API did not refuse the key; it is not proven until a campaign is looked up.", err=True)
    except CallersError as error:
        click.echo(f"The key could not be tested. {error.message_for_person}", err=True)


def ask_for_organization(settings: Settings) -> str | None:
    """Ask for a campaign's id on the terminal; return the id of its organization if the user wants to use it."""
    while text := str(ask(click.prompt, _QUESTION, default="", show_default=False)):
        ids = re.findall(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{24}(?![0-9A-Za-z])", text)
        if len(ids) != 1:
            click.echo("That has no campaign id, or more than one. An id has 24 hexadecimal digits.", err=True)
            continue
        try:
            name, organization = name_and_organization(settings, ids[0])
        except InstallationError as error:
            click.echo(str(error), err=True)
            continue
        if ask(click.confirm, f"Campaign {name} belongs to organization {organization}. Use it?"):
            return organization
    return None


def name_and_organization(settings: Settings, campaign_id: str) -> tuple[str, str]:
    """Return the name, in quotation marks, and the organization's id of a campaign in the main organization.

    Raises:
        InstallationError: The campaign is not found, or has no organization id; or the API refused the key.
    """
    try:
        raw = _look_up(settings, campaign_id, "main").raw
    except CallersError as error:
        raise _installation_error(error, settings) from None
    name, organization = quote(str(raw.get("name") or campaign_id)), str(raw.get("organizationId"))
    if not is_object_id(organization):
        raise InstallationError(f"campaign {name} has no organization id; nothing was changed. Try another campaign.")
    return name, organization


def _installation_error(error: CallersError, settings: Settings) -> InstallationError:
    """Return the error of an installation; about a refused key it says how to give another one."""
    given = load_settings()
    if not isinstance(error, Unauthorized) or given.api_key or given.api_key_file:
        return InstallationError(f"{error.message_for_person} Nothing was changed.")
    advice = "Run the command again, and type the right key."
    if not settings.api_key:  # the key is that of an earlier installation
        advice = "To replace the stored key, set CALLERS_API_KEY and run the command again."
    return InstallationError(f"{error.args[0]} Nothing was changed. {advice}")


def _look_up(settings: Settings, campaign_id: str, sub_organization_id: str | None = None) -> CampaignReport:
    async def run() -> CampaignReport:
        async with CallersClient(settings) as client:
            return await look_up(client, campaign_id, sub_organization_id)

    with progress(f"waiting for {settings.base_url}"):
        return anyio.run(run)
