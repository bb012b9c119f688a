"""Runs a command of the command line and returns what it printed."""

from tests.support.constants import PATIENCE
from tests.support.stdio_process import Pipe


def run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run ``callers-mcp``; return exit code, stdout, stderr."""
    with Pipe(*arguments, environment=environment) as pipe:
        out, errors = pipe.process.communicate(timeout=PATIENCE)
        return pipe.process.returncode, out.decode(), errors.decode()
