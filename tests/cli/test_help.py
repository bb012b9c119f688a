"""The help of each command, its version, and the completion of words with Tab."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import callers_mcp
from callers_mcp.install.registry import HOSTS
from tests.conftest import inherited
from tests.support.command_line import run

COMMANDS = ["check", "config", "demo", "get", "http", "install", "sandbox", "token", "uninstall"]


def test_the_version_imports_neither_the_sdk_nor_the_client() -> None:
    code = """
import sys
sys.argv = ["callers-mcp", "--version"]
from callers_mcp.cli import main
try:
    main()
finally:
    print(sorted({"mcp", "httpx2", "pydantic", "anyio"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"callers-mcp {callers_mcp.__version__}\n[]\n"


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["help"], ["--help"]),
        (["help", "get"], ["get", "--help"]),
        (["help", "token", "add"], ["token", "add", "--help"]),
        (["version"], ["--version"]),
        (["-V"], ["--version"]),
    ],
    ids=" ".join,
)
def test_words_that_people_try_do_what_the_option_does(words: list[str], same: list[str]) -> None:
    assert run(*words) == run(*same)
    assert run(*same)[0] == 0


@pytest.mark.parametrize(
    ("words", "nearest"), [(["chekc"], "check"), (["token", "lst"], "list"), (["help", "uninstal"], "uninstall")]
)
def test_a_mistyped_command_is_answered_with_the_nearest(words: list[str], nearest: str) -> None:
    code, out, errors = run(*words)
    assert (code, out) == (2, "")
    assert "Did you mean" in errors
    assert f"'{nearest}'" in errors


@pytest.mark.parametrize(
    "command", [[], *([name] for name in [*COMMANDS, "help", "version"])], ids=lambda command: " ".join(command) or "-"
)
def test_help_fits_a_screen_and_has_an_example(command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert re.search(r"Examples?:\s+(CALLERS_\S+ )?callers-mcp", out)
    assert len(out.splitlines()) <= 24


@pytest.mark.parametrize("command", ["install", "uninstall", "config"])
def test_the_help_names_each_host(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    words = " ".join(out.split()).replace("- ", "-")
    assert [host for host, row in HOSTS.items() if host not in words and (command == "config" or not row.by_hand)] == []


def test_the_option_sandbox_is_refused_before_a_command() -> None:
    code, _, errors = run("--sandbox", "check")
    assert code == 2
    assert "--sandbox" in errors


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ins"], "install"),
        (["tok"], "token"),
        (["token", "rev"], "revoke"),
        (["get", "--ra"], "--raw"),
        (["install", "cu"], "cursor"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_offers_commands_options_and_hosts(shell: str, words: list[str], offered: str) -> None:
    environment = {
        "_CALLERS_MCP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["callers-mcp", *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    code, out, errors = run(environment=environment)
    assert (code, errors) == (0, "")
    assert offered in out.replace(",", "\n").split()


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash")
def test_the_documented_line_for_bash_makes_tab_work(tmp_path: Path) -> None:
    """The documentation says to put this line into ~/.bashrc."""
    program = tmp_path / "callers-mcp"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m callers_mcp "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(_CALLERS_MCP_COMPLETE=bash_source callers-mcp)"
complete -p callers-mcp
COMP_WORDS=(callers-mcp unin) COMP_CWORD=1
_callers_mcp_completion callers-mcp
echo "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=inherited() | {"PATH": path})
    registered, offered = done.stdout.splitlines()
    assert registered.endswith(" callers-mcp")
    assert offered == "uninstall"
    assert (done.returncode, done.stderr) == (0, "")
