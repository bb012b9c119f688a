"""``callers-mcp`` without a command: run the stdio server."""

import gc
import sys


def serve(use_sandbox: bool) -> None:
    """Serve one MCP host over stdin and stdout until it disconnects; ``use_sandbox`` serves sample campaigns."""
    if sys.stdin is not None and sys.stdin.isatty():  # a person, who would otherwise see nothing happen
        import click

        from callers_mcp.cli.program import program

        click.echo(
            "callers-mcp: an MCP server, waiting for a host to connect on stdin; Ctrl-C stops it.\n"
            f"To see it work: {program()} demo. To add it to a host: {program()} install HOST.",
            err=True,
        )
    from callers_mcp.cli.sdk import import_sdk, load_rest

    import_sdk()
    from callers_mcp import logs, stdio
    from callers_mcp.cli.runtime import load_settings, sandbox_instructions
    from callers_mcp.server.create import create_server

    sandbox = None
    if use_sandbox:
        from callers_mcp.sandbox import Sandbox

        sandbox = Sandbox().__enter__()  # until the process ends
    settings = load_settings(sandbox)
    logs.configure(settings)
    server = create_server(settings, instructions=sandbox_instructions() if sandbox else None)
    gc.freeze()  # the loaded modules stay, so no collection needs to look at them again
    gc.enable()
    stdio.serve(server, load_rest())
