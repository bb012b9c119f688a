"""Runs a file of ``examples/`` and returns its exit code, stdout and stderr.

Use ``run_here``: it runs the file inside the test process, which saves the start of two processes. Use ``run_process``
once for each example, to show that it works from a shell.
"""

import asyncio
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import anyio
import mcp
import pytest
from mcp import ClientSession
from mcp.shared.memory import create_client_server_memory_streams

from callers_mcp import create_server
from callers_mcp.cli.runtime import load_settings
from callers_mcp.sandbox import Sandbox
from tests.conftest import inherited
from tests.support.constants import PATIENCE

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVER = ["-P", "-m", "callers_mcp"]


def run_process(
    name: str,
    *arguments: str,
    given: str = "",
    environment: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
) -> tuple[int, str, str]:
    """Run an example as a process, as a user does, with any Python; return exit code, stdout, stderr."""
    done = subprocess.run(
        [str(python), str(EXAMPLES / name), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        env=inherited() | dict(environment or {}),
    )
    return done.returncode, done.stdout, done.stderr


def run_here(
    name: str, *arguments: str, given: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run an example inside this process; return exit code, stdout, stderr.

    A server that it starts over stdio also runs inside this process, with the settings of its environment, and is
    connected in memory.

    Args:
        name: The file in ``examples/``.
        arguments: The arguments of the example.
        given: The content of stdin.
        environment: Variables to set.
    """
    code = 0
    with (
        TemporaryFile("w+") as out,
        TemporaryFile("w+") as errors,  # a real file, as a server process may write to it
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(errors),
        asyncio.Runner(),  # a loop for PydanticAI's run_sync, which without one creates a loop and never closes it
    ):
        patch.setattr(sys, "argv", [str(EXAMPLES / name), *arguments])
        patch.setattr(sys, "stdin", StringIO(given))
        patch.setattr(mcp, "stdio_client", lambda server: _server_in_memory(server.args, server.env))
        if "fastmcp" in (EXAMPLES / name).read_text("utf-8"):
            patch.setattr("fastmcp.client.transports.StdioTransport", _fastmcp_transport)
        for variable, value in (environment or {}).items():
            patch.setenv(variable, value)
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as exit_:
            code = _exit_code(exit_)
        except Exception:  # print it as the interpreter does
            traceback.print_exc()
            code = 1
        out.seek(0)
        errors.seek(0)
        return code, out.read(), errors.read()


def _exit_code(exit_: SystemExit) -> int:
    if isinstance(exit_.code, str):
        print(exit_.code, file=sys.stderr)  # noqa: T201
        return 1
    return exit_.code or 0


def _server_in_memory(arguments: list[str], environment: Mapping[str, str] | None) -> Any:
    """Return a server in memory for a client, instead of a transport to a process."""
    sandbox = arguments == [*SERVER, "--sandbox"]
    assert sandbox or arguments == SERVER, "a server with other arguments needs run_process"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CALLERS_")]:
            patch.delenv(name)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        return create_server(load_settings(_sandbox() if sandbox else None))


def _fastmcp_transport(_: str, arguments: list[str], environment: Mapping[str, str], **__: Any) -> Any:
    """Return the transport of FastMCP to a server in memory; FastMCP has one only for servers that it made."""
    from fastmcp.client.transports import ClientTransport

    server = _server_in_memory(arguments, environment)

    class InMemory(ClientTransport):
        @asynccontextmanager
        async def connect_session(self, **options: Any) -> AsyncIterator[Any]:
            async with create_client_server_memory_streams() as (client, served), anyio.create_task_group() as tasks:
                tasks.start_soon(server.run, *served, server.create_initialization_options())
                options.pop("transport_options", None)
                async with ClientSession(*client, **options) as session:
                    yield session
                tasks.cancel_scope.cancel()

    return InMemory()


@cache
def _sandbox() -> Sandbox:
    return Sandbox().__enter__()  # runs until the process exits, as for ``callers-mcp --sandbox``
