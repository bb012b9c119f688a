"""``callers-mcp``: the stdio server."""

import gc


def serve(use_sandbox: bool) -> None:
    """Serve one MCP host over stdin and stdout until it is gone; with sample campaigns if asked for."""
    from callers_mcp import logs, stdio
    from callers_mcp.cli.configuration import load_settings, start_sandbox
    from callers_mcp.server import create_server

    sandbox, instructions = start_sandbox() if use_sandbox else (None, None)
    settings = load_settings(sandbox)
    logs.configure(settings)
    server = create_server(settings, instructions=instructions)
    gc.freeze()  # what is loaded stays: no collection need look at it again
    gc.enable()
    stdio.serve(server)
