"""On a terminal: what a person sees who types the command, with and without colours, and what Tab offers."""

import shutil
import signal
import subprocess
import sys

import pytest

from tests.conftest import inherited
from tests.support.constants import PATIENCE
from tests.support.terminal import terminal


@pytest.mark.parametrize("arguments", [[], ["--sandbox"]])
def test_the_server_says_on_a_terminal_what_it_is_and_waits_for(arguments: list[str]) -> None:
    with terminal(*arguments, stdout=subprocess.PIPE) as shell:
        shown = shell.read_until("install HOST")
        assert "an MCP server, waiting for a host" in shown
        assert "callers-mcp demo" in shown
        shell.process.send_signal(signal.SIGINT)
        assert shell.process.wait(PATIENCE) == 130
        assert shell.process.stdout
        assert shell.process.stdout.read() == b""  # which is the protocol's alone
        shell.process.stdout.close()


def test_no_host_is_told_what_a_person_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "callers_mcp"], stdin=subprocess.DEVNULL, capture_output=True, env=inherited()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("", True), ("1", False)])
def test_colours_are_for_terminals_whose_user_wants_them(
    sandbox_environment: dict[str, str], no_color: str | None, coloured: bool
) -> None:
    wish = {} if no_color is None else {"NO_COLOR": no_color}
    with terminal("check", environment=sandbox_environment | wish) as shell:
        shown = shell.read_until("the key is not tested")
    assert ("\x1b[" in shown) == coloured
    assert "Base URL" in shown


@pytest.mark.parametrize(
    ("words", "offered"),
    [(["ins"], "install"), (["tok"], "token"), (["token", "rev"], "revoke"), (["get", "--ra"], "--raw")],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_offers_the_commands_and_options(shell: str, words: list[str], offered: str) -> None:
    typed = ["callers-mcp", *words]
    environment = {
        "_CALLERS_MCP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "callers_mcp"], capture_output=True, text=True, env=inherited() | environment
    )
    assert done.returncode == 0
    assert offered in done.stdout.replace(",", "\n").split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_line_for_bash_makes_tab_work() -> None:
    """What the documentation says to put into ~/.bashrc is put into a shell."""
    function = """
callers-mcp() { "$PYTHON" -m callers_mcp "$@"; }
eval "$(_CALLERS_MCP_COMPLETE=bash_source callers-mcp)"
complete -p callers-mcp
"""
    done = subprocess.run(
        ["bash", "-c", function], capture_output=True, text=True, env=inherited() | {"PYTHON": sys.executable}
    )
    assert "callers-mcp" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
