"""Runs a file of ``examples/`` and returns its exit code, stdout and stderr.

Use ``run_process`` once for each example, to show that it works as a process. Use ``run_here`` for everything else: it
runs the same file inside the test process, which saves the start of two processes.
"""

import asyncio
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import mcp
import pytest
from mcp import StdioServerParameters

from callers_mcp import Settings, create_server
from tests.conftest import inherited
from tests.support.constants import PATIENCE

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_process(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run an example as a process, as a user does; return exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        stdin=subprocess.DEVNULL,
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

    A server that it starts with ``mcp.stdio_client`` also runs inside this process, with the settings of its
    environment, and is connected in memory.

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
        patch.setattr(mcp, "stdio_client", _server_in_memory)
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


def _server_in_memory(parameters: StdioServerParameters) -> Any:
    """Return a server in memory for ``mcp.Client``, instead of a transport to a process."""
    assert parameters.args == ["-P", "-m", "callers_mcp"], "a server with other arguments needs run_process"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CALLERS_")]:
            patch.delenv(name)
        for name, value in (parameters.env or {}).items():
            patch.setenv(name, value)
        return create_server(Settings.from_environment())
