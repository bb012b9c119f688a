"""``callers-mcp sandbox``: run only the simulated API."""

import threading

import click


@click.command(epilog="Example: callers-mcp sandbox --port 8080")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; by default a free one.")
def sandbox(port: int) -> None:
    """Run the simulated Callers API until Ctrl-C."""
    from callers_mcp.sandbox import API_KEY, Sandbox, sample_ids

    try:
        server = Sandbox(port)
    except OSError as error:
        raise click.ClickException(f"Port {port} can't be used: {error.strerror}.") from None
    with server:
        click.echo("A simulated Callers API is running; Ctrl-C stops it. To use it, set:")
        click.echo(f"  CALLERS_BASE_URL={server.base_url}")
        click.echo(f"  CALLERS_API_KEY={API_KEY}")
        click.echo(f"Sample campaigns: {sample_ids()}")
        threading.Event().wait()
