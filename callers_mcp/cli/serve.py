"""``callers-mcp``: the stdio server."""

import gc
import sys

import click


def serve(use_sandbox: bool) -> None:
    """Serve one MCP host over stdin and stdout until it is gone; with sample campaigns if asked for."""
    if sys.stdin is not None and sys.stdin.isatty():  # a person, who would see nothing happen
        click.echo(
            "callers-mcp: an MCP server, waiting for a host to speak to it on stdin; Ctrl-C ends it.\n"
            "To see it work: callers-mcp demo. To put it into a host: callers-mcp install HOST.",
            err=True,
        )
    from callers_mcp import logs, stdio
    from callers_mcp.cli.runtime import load_settings, start_sandbox
    from callers_mcp.server.create import create_server

    sandbox, instructions = start_sandbox() if use_sandbox else (None, None)
    settings = load_settings(sandbox)
    logs.configure(settings)
    server = create_server(settings, instructions=instructions)
    gc.freeze()  # what is loaded stays: no collection need look at it again
    gc.enable()
    stdio.serve(server)
