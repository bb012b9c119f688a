"""``callers-mcp check``: show the configuration, and whether the API answers."""

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from callers_mcp.cli.host_argument import HostType

if TYPE_CHECKING:
    from callers_mcp.api.client import CallersClient

_START_TIMEOUT_SECONDS = 30.0


@click.command(epilog="Example: callers-mcp check --campaign-id 665f1c2ab1e4a9d0c7f3b812")
@click.option("--campaign-id", metavar="ID", help="Look up this campaign. This also tests the key.")
@click.option("--host", type=HostType(), help="Check the server that is installed in this host, and start it.")
@click.option("--yes", is_flag=True, help="On a terminal, answer the question of --host with yes.")
@click.option("--shape", is_flag=True, help="Print a report on the API's answers, without values, for a public issue.")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Check the simulated API; needs no key.")
def check(campaign_id: str | None, host: str | None, yes: bool, shape: bool, use_sandbox: bool) -> None:
    """Show the configuration, and whether the API answers.

    With --host, the settings are those of the host's entry instead of the environment. If the campaign shows the
    organization's id that search by name needs, a terminal asks whether to write it into the entry.

    Exit code: 0 all is well; 1 a problem was found; 2 wrong settings or a malformed id.
    """
    from callers_mcp import logs
    from callers_mcp.api.client import CallersClient
    from callers_mcp.cli.runtime import load_settings, parse_campaign_id, progress, run_and_exit, start_sandbox

    if host and use_sandbox:
        raise click.UsageError("--sandbox can't be used with --host.")
    entry = use_entry(host) if host else None
    settings = load_settings(start_sandbox() if use_sandbox else None)
    logs.configure(settings, command=True)
    if campaign_id is not None:
        campaign_id = parse_campaign_id(campaign_id)
    elif shape:
        raise click.UsageError("--shape needs a campaign: add --campaign-id ID.")
    is_sandbox = entry is not None and "--sandbox" in entry["args"]
    if is_sandbox and campaign_id:
        raise click.UsageError(f"--campaign-id looks nothing up here: the server in {host} has only sample campaigns.")
    if shape:
        from callers_mcp.cli import shape_report

        with progress(f"waiting for {settings.base_url}"):
            run_and_exit(lambda: shape_report.print_report(settings, str(campaign_id)))
        return
    report = _Report(CallersClient(settings), host, entry, yes=yes)
    if not is_sandbox:
        report.print_configuration()

    async def check_api() -> int:
        if entry is not None:
            with progress("starting the server"):
                await report.check_start(entry)
        if not is_sandbox:
            async with report.client:
                with progress(f"waiting for {settings.base_url}"):
                    organization = await report.check_api(campaign_id)
                if campaign_id and organization:
                    report.check_organization(campaign_id, organization)
        return 1 if report.problems else 0

    run_and_exit(check_api)


def use_entry(host: str) -> Mapping[str, Any]:
    """Return command, args and env of the host's entry, and set its variables; exit with code 1 if there is none."""
    from callers_mcp.cli.runtime import say
    from callers_mcp.install import plan
    from callers_mcp.install.entry import is_variable_of_ours as is_ours
    from callers_mcp.install.registry import HOSTS, Platform

    row = HOSTS[host]
    try:
        if row.by_hand:
            raise plan.InstallationError(
                f"this command can't read the configuration of {row.title}. Leave out --host, and set the entry's "
                "variables in the environment."
            )
        plan.require_editable(row, host)
        entry = plan.plan_change(row, None).current
        if entry is None:
            reason = f"does not have this server: callers-mcp install {host} adds it."
            if row.has_bundle(Platform()):
                reason = f"has this server as an extension, which only {row.title} can start: see Settings > Extensions"
            raise plan.InstallationError(f"{row.title} {reason}")
    except plan.InstallationError as error:
        say(f"callers-mcp: {error}", err=True)
        sys.exit(1)
    for name in [each for each in os.environ if is_ours(each)]:
        del os.environ[name]
    variables, arguments = entry.get("env"), entry.get("args")
    entry = {
        "command": entry["command"],
        "args": [str(word) for word in arguments] if isinstance(arguments, list) else [],
        "env": {name: str(value) for name, value in variables.items()} if isinstance(variables, dict) else {},
    }
    os.environ.update({name: value for name, value in entry["env"].items() if is_ours(name) and "\0" not in value})
    return entry


class _Report:
    """Prints one line for each fact, and counts the problems."""

    def __init__(
        self, client: "CallersClient", host: str | None, entry: Mapping[str, Any] | None, *, yes: bool
    ) -> None:
        self.client, self._host, self._entry, self._yes = client, host, entry, yes
        self.problems = 0

    def _print(self, title: str, text: str, *, good: bool = True) -> None:
        self.problems += not good
        label = click.style("ok     " if good else "PROBLEM", fg="green" if good else "red")
        click.echo(f"{label}  {title}: {self.client.mask(text)}")

    def print_configuration(self) -> None:
        from callers_mcp.api.errors import Forbidden, NotConfigured
        from callers_mcp.api.key import KeySource, require_no_placeholder
        from callers_mcp.api.transport import proxy_setting
        from callers_mcp.settings import MAIN, Settings, variable

        settings, key = self.client.settings, ""
        keys = KeySource(settings)
        try:
            key = keys.current()
            self._print("API key", f"set, from {keys.variable}")
        except NotConfigured as error:
            self._print("API key", f"not set. {error.message_for_person}", good=False)
        self._print("Base URL", settings.base_url)
        self._print("Proxy", proxy_setting(settings.base_url) or "none")
        try:
            require_no_placeholder(settings, "sub_organization_id", "sub_organizations")
            allowed = ", ".join(settings.sub_organizations or ["all that the key can access"])
            self._print("Allowed organizations", allowed)
            self._print("Default organization", self.client.access.resolve(None) or MAIN)
        except NotConfigured as error:
            self._print("Default organization", error.message_for_person, good=False)
        except Forbidden:
            problem = (
                f"a call that names no sub-organization is refused, because {MAIN} is not allowed; "
                f"set {variable('sub_organization_id')} to an allowed one"
            )
            self._print("Default organization", problem, good=False)
        name = variable("organization_id")
        if key and key.lower() in (settings.organization_id or "").lower():
            self._print("Search by name", f"{name} holds the API key, not an id", good=False)
        elif self.client.access.can_list:
            self._print("Search by name", "find_campaigns is enabled")
        else:
            self._print("Search by name", f"set {name} to enable find_campaigns")
        shown = {"api_key", "api_key_file", "base_url", "sub_organization_id", "sub_organizations"}
        for field, definition in Settings.model_fields.items():
            if field not in shown and (value := getattr(settings, field)) != definition.default:
                self._print(variable(field), str(value))
        for notice in settings.notices:
            self._print("Setting", notice, good=False)

    async def check_start(self, entry: Mapping[str, Any]) -> None:
        """Start the server as the host does, and list its tools."""
        import anyio
        from mcp import Client, StdioServerParameters, stdio_client

        try:
            # A null device does not block.
            with open(os.devnull, "w", encoding="utf-8") as log, anyio.fail_after(_START_TIMEOUT_SECONDS):  # noqa: ASYNC230, PTH123
                async with Client(stdio_client(StdioServerParameters(**entry), errlog=log)) as client:
                    tools = [tool.name for tool in (await client.list_tools()).tools]
            self._print("Server", f"starts, and offers {', '.join(tools)}")
        except Exception as error:  # of the SDK, of any type
            problem = f"{entry['command']} does not start ({type(error).__name__}); install it again"
            self._print("Server", problem, good=False)

    async def check_api(self, campaign_id: str | None) -> str:
        """Look the campaign up, and return the organization id of the campaign that it found, or an empty text."""
        from callers_mcp.api.errors import CallersError
        from callers_mcp.campaign import lookup

        started, organization = time.perf_counter(), ""
        try:
            if campaign_id is None:
                status = await self.client.probe()
                answer = (
                    f"answers (status {status} without a key); the key is not tested: add --campaign-id ID to test it"
                )
            else:
                found = await lookup.look_up(self.client, campaign_id)
                organization = str(found.raw.get("organizationId"))
                answer = f"campaign {campaign_id} found. {found.summary.headline}"
            self._print("API", f"{answer} [{(time.perf_counter() - started) * 1000:.0f} ms]")
        except CallersError as error:
            self._print("API", error.message_for_person, good=False)
            return ""
        if campaign_id:
            await self._check_isolation(campaign_id)
        return organization

    def check_organization(self, campaign_id: str, organization: str) -> None:
        """Report whether CALLERS_ORGANIZATION_ID is the organization of a campaign from the main organization."""
        from callers_mcp.api.request import is_object_id
        from callers_mcp.settings import variable

        name, configured = variable("organization_id"), self.client.settings.organization_id
        if self.client.access.resolve(None) is not None or not is_object_id(organization):
            return
        if (configured or "").lower() == organization.lower() or self._write(name, organization):
            return
        command = f"callers-mcp install {self._host} --campaign-id {campaign_id} writes" if self._host else "set"
        problem = f"{name} is wrong: the campaign belongs to {organization}; " if configured else ""
        self._print(
            "Organization", f"{problem}{command} {name}={organization} to find campaigns by name", good=not problem
        )

    def _write(self, name: str, value: str) -> bool:
        """Write a variable into the host's entry if a person on the terminal wants it; return whether it was done."""
        from callers_mcp.cli.installer import is_terminal
        from callers_mcp.cli.runtime import ask
        from callers_mcp.install import plan
        from callers_mcp.install.lock import exclusive
        from callers_mcp.install.registry import HOSTS

        if not (self._host and self._entry and is_terminal()):
            return False
        row = HOSTS[self._host]
        question = f"{row.before} Write {name}={value} to {row.title}?".lstrip()
        if not (self._yes or ask(click.confirm, question)):
            return False
        try:
            with exclusive():
                plan.apply(plan.plan_change(row, {**self._entry, "env": {**self._entry["env"], name: value}}))
            self._print("Organization", f"wrote {name}={value}, to find campaigns by name. {row.next_step}")
        except (plan.InstallationError, OSError) as error:
            self._print("Organization", f"{name}={value} could not be written: {error}", good=False)
            return False
        return True

    async def _check_isolation(self, campaign_id: str) -> None:
        """Report whether the API separates sub-organizations: a hosted server relies on it to separate its callers."""
        from callers_mcp.api.errors import CallersError

        try:
            enforced = await self.client.enforces_sub_organizations(campaign_id)
        except CallersError as error:
            self._print("Isolation", f"could not be tested. {error.message_for_person}", good=False)
            return
        self._print(
            "Isolation",
            "the API refuses the same campaign for a made-up sub-organization"
            if enforced
            else "the API answers for a made-up sub-organization too: it ignores x-sub-organization-id, so a hosted "
            "server can't separate its callers. Don't give any caller access to single sub-organizations.",
            good=enforced,
        )
