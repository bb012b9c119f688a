"""On a terminal, the server explains what it waits for, and output is coloured unless ``NO_COLOR`` is set."""

import signal
import subprocess

import pytest

from tests.support.command_line import run
from tests.support.constants import PATIENCE
from tests.support.terminal import terminal


@pytest.mark.measured
@pytest.mark.parametrize("arguments", [[], ["--sandbox"]])
def test_the_server_explains_on_a_terminal_what_it_waits_for(arguments: list[str]) -> None:
    with terminal(*arguments, stdout=subprocess.PIPE) as shell:
        shown = shell.read_until("install HOST")
        assert "an MCP server, waiting for a host" in shown
        assert "callers-mcp demo" in shown
        shell.process.send_signal(signal.SIGINT)
        assert shell.process.wait(PATIENCE) == 130
        assert shell.process.stdout
        assert shell.process.stdout.read() == b""  # stdout is for the protocol only
        shell.process.stdout.close()


def test_output_on_a_terminal_is_coloured(sandbox_environment: dict[str, str]) -> None:
    with terminal("check", environment=sandbox_environment) as shell:
        shown = shell.read_until("the key is not tested")
    assert "\x1b[" in shown
    assert "Base URL" in shown


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("", True), ("1", False)])
@pytest.mark.parametrize("on_a_terminal", [True, False], ids=["terminal", "pipe"])
def test_no_color_and_pipes_turn_colours_off(
    sandbox_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    no_color: str | None,
    coloured: bool,
    on_a_terminal: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    variables = {} if no_color is None else {"NO_COLOR": no_color}
    code, out, _ = run("check", environment=sandbox_environment | variables, terminal=on_a_terminal)
    assert code == 0
    assert ("\x1b[" in out) == (coloured and on_a_terminal)
    assert "Base URL" in out
