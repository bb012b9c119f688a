"""``callers-mcp install`` and ``uninstall``: add this server to a host's configuration, or remove it."""

from typing import Any

import click

from callers_mcp.cli.host_argument import HostType


@click.command(epilog="Example: callers-mcp install cursor")
@click.argument("host", type=HostType(), required=False)
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
@click.option("--dry-run", is_flag=True, help="Preview the change.")
@click.option("--campaign-id", metavar="ID", help="Look up this campaign, to enable search by name.")
@click.option("--no-check", is_flag=True, help="Do not test the key.")
@click.option("--yes", is_flag=True, help="Answer each question with yes. The key is still prompted for.")
def install(**options: Any) -> None:
    """Add this server to a host's configuration. Without HOST, list the hosts on this machine.

    HOST is claude-desktop, claude-code, cursor, vscode, codex, gemini-cli, opencode, qwen-code, copilot-cli, cline,
    zed, devin-desktop, lm-studio, kiro, amp, kilo-code, warp, auggie or visual-studio. The key is read from
    CALLERS_API_KEY, or prompted for, and stored in a file that only you can read. Other CALLERS_ variables, and those
    for a proxy and certificates, are copied into the entry.

    Exit code: 0 done; 1 failed; 2 wrong usage or settings.
    """
    from callers_mcp.cli import installer

    installer.install(**options)


@click.command(epilog="Example: callers-mcp uninstall cursor")
@click.argument("host", type=HostType())
@click.option("--dry-run", is_flag=True, help="Preview the change.")
def uninstall(**options: Any) -> None:
    """Remove this server, and its key file, from a host.

    HOST is claude-desktop, claude-code, cursor, vscode, codex, gemini-cli, opencode, qwen-code, copilot-cli, cline,
    zed, devin-desktop, lm-studio, kiro, amp, kilo-code, warp, auggie or visual-studio. The rest of the configuration
    is not changed.

    Exit code: 0 done; 1 failed; 2 wrong usage.
    """
    from callers_mcp.cli import installer

    installer.uninstall(**options)
