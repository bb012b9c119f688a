"""``callers-mcp http``: serve a team over Streamable HTTP."""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import ssl

    from callers_mcp.http.settings import HostingSettings

_file = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: CALLERS_HTTP_AUTH=tokens callers-mcp http")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 chooses a free port.")
@click.option("--certfile", type=_file, help="Certificate chain (PEM), for TLS.")
@click.option("--keyfile", type=_file, help="Its private key (PEM).")
@click.option("--sandbox", "use_sandbox", is_flag=True, help="Serve sample campaigns; needs no key.")
def http(host: str, port: int, certfile: Path | None, keyfile: Path | None, use_sandbox: bool) -> None:
    """Serve many hosts over Streamable HTTP, at /mcp.

    CALLERS_HTTP_* variables set who may call, and everything else. SIGTERM stops it without a failed call.

    Exit code: 0 after SIGTERM; 2 wrong settings, or an address that can't be used; 130 after Ctrl-C.
    """
    from callers_mcp import logs
    from callers_mcp.cli import runtime

    runtime.require_http_extra()
    if (certfile is None) != (keyfile is None):
        runtime.exit_with_usage_error("--certfile and --keyfile go together.")
    if not host.strip():  # the system would listen on every address
        runtime.exit_with_usage_error("--host is blank; set an address, or leave out --host for 127.0.0.1.")
    sandbox = runtime.start_sandbox() if use_sandbox else None
    settings = runtime.load_settings(sandbox)
    if settings.notices:  # over stdio they are only warnings
        runtime.exit_with_usage_error(" ".join(settings.notices))
    logs.configure(settings)
    from callers_mcp.api.errors import NotConfigured
    from callers_mcp.http.app import HostedServer
    from callers_mcp.http.auth.token_store import TokenFileError
    from callers_mcp.http.runtime.process import load_everything, serve
    from callers_mcp.http.runtime.server import listen
    from callers_mcp.http.settings import HostingSettings
    from callers_mcp.settings import SettingsError

    with runtime.progress("starting the server"):
        try:
            listener = listen(host, port, "--host or --port")
            hosting = HostingSettings.from_environment(
                host=host, port=listener.getsockname()[1], tls=certfile is not None
            )
            tls = _tls_context(certfile, keyfile)
            hosted = HostedServer(settings, hosting, instructions=runtime.sandbox_instructions() if sandbox else None)
            if hosted.metrics and hosting.metrics:
                hosted.metrics.serve(*hosting.metrics)
        except NotConfigured as error:
            runtime.exit_with_usage_error(error.message_for_person)
        except (SettingsError, TokenFileError) as error:
            runtime.exit_with_usage_error(str(error))
        load_everything()
    if hosting.auth == ("none",):
        logging.getLogger(__name__).warning(
            "CALLERS_HTTP_AUTH is none: anyone who can reach this server can look up whatever the key can access."
        )
    _print_address(hosting)
    sys.exit(serve(hosted, listener, tls))


def _tls_context(certfile: Path | None, keyfile: Path | None) -> "ssl.SSLContext | None":
    import ssl

    from callers_mcp.settings import SettingsError

    if certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile, password=lambda: "")
    except OSError as error:
        why = error.strerror if error.errno else "not a certificate and its key, in PEM, without a password"
        raise SettingsError(f"--certfile and --keyfile can't be used ({why}).") from None
    return context


def _print_address(hosting: "HostingSettings") -> None:
    """Print the server's URL, who may call it, and the configuration for a host."""
    callers = {
        "tokens": "holders of a token (callers-mcp token add NAME ...)",
        "oauth": f"users who sign in at {hosting.oauth_issuer}",
        "none": "anyone who can reach it (CALLERS_HTTP_AUTH=none)",
    }
    who = [words for method, words in callers.items() if method in (hosting.auth or ())]
    server: dict[str, Any] = {"type": "http", "url": hosting.url}
    if "tokens" in hosting.methods:
        server["headers"] = {"Authorization": "Bearer <token>"}
    address = ""
    if hosting.public_url:
        host = f"for the Host header {hosting.known_hosts[0]}; CALLERS_HTTP_ALLOWED_HOSTS adds others"
        address = f" (listening on {hosting.address}, {host})"
    click.echo(f"callers-mcp serves on {hosting.url}{address}")
    click.echo(f"Who may call: {', and '.join(who) or 'any process on this machine'}")
    click.echo(f"Host config: {json.dumps({'mcpServers': {'callers': server}})}")
