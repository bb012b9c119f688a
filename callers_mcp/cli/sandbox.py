"""``callers-mcp sandbox``: run only the simulated API."""

import os
import sys
import threading

import click


@click.command(epilog="Example: callers-mcp sandbox --port 8080")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; by default a free one.")
def sandbox(port: int) -> None:
    """Run the simulated Callers API until Ctrl-C."""
    from callers_mcp.cli.program import program
    from callers_mcp.cli.runtime import sandbox_settings
    from callers_mcp.sandbox import SAMPLES, Sandbox, sample_ids
    from callers_mcp.settings import variable

    try:
        server = Sandbox(port)
    except OSError as error:
        raise click.ClickException(f"Port {port} can't be used: {error.strerror}.") from None
    with server:
        click.echo("A simulated Callers API is running; Ctrl-C stops it.")
        click.echo(f"Sample campaigns: {sample_ids()}")
        click.echo("To use it, paste these lines into another terminal:")
        for field, value in sandbox_settings(server).items():
            name = variable(field)
            if value:
                click.echo(f'$env:{name} = "{value}"' if sys.platform == "win32" else f"export {name}={value}")
            elif os.environ.get(name):
                click.echo(f"Remove-Item Env:{name}" if sys.platform == "win32" else f"unset {name}")
        click.echo(f"{program()} get {next(iter(SAMPLES))}")
        threading.Event().wait()
