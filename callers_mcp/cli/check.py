"""``callers-mcp check``: show the configuration, and whether the API answers."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from callers_mcp.api.client import CallersClient
    from callers_mcp.settings import Settings


@click.command(epilog="Example: callers-mcp check --campaign-id 665f1c2ab1e4a9d0c7f3b812")
@click.option("--campaign-id", metavar="ID", help="Look up this campaign. This also tests the key.")
def check(campaign_id: str | None) -> None:
    """Show the configuration, and whether the API answers.

    Exit code: 0 all is well; 1 a problem was found; 2 wrong settings or a malformed id.
    """
    from callers_mcp import logs
    from callers_mcp.api.client import CallersClient
    from callers_mcp.api.errors import CallersError
    from callers_mcp.api.request import CAMPAIGN_ID_HELP, is_object_id
    from callers_mcp.campaign import lookup
    from callers_mcp.cli.runtime import load_settings, run_and_exit

    settings = load_settings()
    logs.configure(settings, command=True)
    client = CallersClient(settings)
    if campaign_id is not None:
        campaign_id = campaign_id.strip()
        if not is_object_id(campaign_id):
            raise click.UsageError(f"--campaign-id takes {CAMPAIGN_ID_HELP.for_person}.")
    print_line = partial(_print_line, client.mask)
    problems = _print_configuration(settings, print_line)

    async def look_up(client: CallersClient) -> str:
        if campaign_id is None:
            status = await client.probe()
            return f"answers (status {status} without a key); the key is not tested: add --campaign-id ID to test it"
        report = await lookup.look_up(client, campaign_id)
        organizations.append(str(report.raw.get("organizationId")))
        return f"campaign {campaign_id} found. {report.summary.headline}"

    organizations: list[str] = []

    async def report() -> int:
        started = time.perf_counter()
        async with client:
            try:
                print_line("API", f"{await look_up(client)} [{(time.perf_counter() - started) * 1000:.0f} ms]")
            except CallersError as error:
                print_line("API", error.message_for_person, good=False)
                return 1
            isolated = campaign_id is None or await _check_isolation(client, campaign_id, print_line)
            matches = all(_check_organization(client, each, print_line) for each in organizations)
        return 1 if problems or not isolated or not matches else 0

    run_and_exit(report)


def _print_configuration(settings: "Settings", print_line: Callable[..., None]) -> int:
    """Print the configuration; return the number of problems in it."""
    from callers_mcp.access import OPERATOR, OrganizationAccess
    from callers_mcp.api.errors import Forbidden, NotConfigured
    from callers_mcp.api.key import KeySource, require_no_placeholder
    from callers_mcp.api.transport import proxy_setting
    from callers_mcp.settings import MAIN, Settings, variable

    problems = 0
    keys = KeySource(settings)
    key = ""
    try:
        key = keys.current()
        print_line("API key", f"set, from {keys.variable}")
    except NotConfigured as error:
        print_line("API key", f"not set. {error.message_for_person}", good=False)
        problems += 1
    print_line("Base URL", settings.base_url)
    print_line("Proxy", proxy_setting(settings.base_url) or "none")
    try:
        require_no_placeholder(settings, "sub_organization_id", "sub_organizations")
        print_line("Allowed organizations", ", ".join(settings.sub_organizations or ["all that the key can access"]))
        print_line("Default organization", OrganizationAccess(OPERATOR, settings).resolve(None) or MAIN)
    except NotConfigured as error:
        print_line("Default organization", error.message_for_person, good=False)
        problems += 1
    except Forbidden:
        print_line(
            "Default organization",
            f"a call that names no sub-organization is refused, because {MAIN} is not allowed; "
            f"set {variable('sub_organization_id')} to an allowed one",
            good=False,
        )
        problems += 1
    if key and key.lower() in (settings.organization_id or "").lower():
        print_line("Search by name", f"{variable('organization_id')} holds the API key, not an id", good=False)
        problems += 1
    else:
        can_search = OrganizationAccess(OPERATOR, settings).can_list
        print_line(
            "Search by name",
            "find_campaigns is enabled"
            if can_search
            else f"set {variable('organization_id')} to enable find_campaigns",
        )
    for field in (
        "organization_id",
        "timeout",
        "max_attempts",
        "max_connections",
        "max_body_bytes",
        "list_max_body_bytes",
        "list_cache_seconds",
        "log_level",
        "redact_urls",
    ):
        if (value := getattr(settings, field)) != Settings.model_fields[field].default:
            print_line(variable(field), str(value))
    for notice in settings.notices:
        print_line("Setting", notice, good=False)
    return problems + len(settings.notices)


def _check_organization(client: "CallersClient", organization_id: str, print_line: Callable[..., None]) -> bool:
    """Report whether CALLERS_ORGANIZATION_ID is the organization of a campaign from the main organization."""
    from callers_mcp.api.request import is_object_id
    from callers_mcp.settings import variable

    name, configured = variable("organization_id"), client.settings.organization_id
    if client.access.resolve(None) is not None or not is_object_id(organization_id):
        return True
    if configured is None:
        print_line("Organization", f"set {name}={organization_id} to find campaigns by name")
    elif configured.lower() != organization_id.lower():
        print_line("Organization", f"{name} is wrong: the campaign belongs to {organization_id}", good=False)
        return False
    return True


async def _check_isolation(client: "CallersClient", campaign_id: str, print_line: Callable[..., None]) -> bool:
    """Report whether the API separates sub-organizations: a hosted server relies on it to separate its callers."""
    from callers_mcp.api.errors import CallersError

    try:
        enforced = await client.enforces_sub_organizations(campaign_id)
    except CallersError as error:
        print_line("Isolation", f"could not be tested. {error.message_for_person}", good=False)
        return False
    if enforced:
        print_line("Isolation", "the API refuses the same campaign for a made-up sub-organization")
    else:
        print_line(
            "Isolation",
            "the API answers for a made-up sub-organization too: it ignores x-sub-organization-id, so a hosted server "
            "can't separate its callers. Don't give any caller access to single sub-organizations.",
            good=False,
        )
    return enforced


def _print_line(mask: Callable[[str], str], title: str, text: str, *, good: bool = True) -> None:
    label = click.style("ok     " if good else "PROBLEM", fg="green" if good else "red")
    click.echo(f"{label}  {title}: {mask(text)}")
