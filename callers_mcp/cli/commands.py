"""The program ``callers-mcp``: a group of commands. Without a command it runs the stdio server."""

import gc
import os

import click

from callers_mcp import __version__
from callers_mcp.cli.check import check
from callers_mcp.cli.config import config
from callers_mcp.cli.demo import demo
from callers_mcp.cli.get import get
from callers_mcp.cli.http import http
from callers_mcp.cli.install import install, uninstall
from callers_mcp.cli.sandbox import sandbox
from callers_mcp.cli.token import token

_EPILOG = "Examples: callers-mcp demo; callers-mcp install cursor"


@click.group(invoke_without_command=True, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def callers_mcp(context: click.Context, use_sandbox: bool) -> None:
    """MCP server that looks up calling campaigns at Callers.

    Without a command it serves one MCP host over stdin and stdout. Environment variables configure it; the most
    important one is CALLERS_API_KEY.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        context.color = False
    if context.invoked_subcommand is None:
        from callers_mcp.cli.serve import serve

        serve(use_sandbox)
    elif use_sandbox:
        raise click.UsageError("--sandbox goes after a command; without a command it starts the server.")
    else:
        gc.enable()


for command in (check, config, demo, get, http, install, sandbox, token, uninstall):
    callers_mcp.add_command(command)


@callers_mcp.command("help", hidden=True, epilog="Example: callers-mcp help install")
@click.argument("words", metavar="[COMMAND]", nargs=-1)
def print_help(words: tuple[str, ...]) -> None:
    """Show the help of a command; the same as COMMAND --help."""
    callers_mcp([*words, "--help"], prog_name="callers-mcp")


@callers_mcp.command("version", hidden=True, epilog="Example: callers-mcp version")
def print_version() -> None:
    """Show the version; the same as --version."""
    callers_mcp(["--version"], prog_name="callers-mcp")
