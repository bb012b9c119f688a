"""On a terminal, the server explains what it waits for, and output is coloured unless ``NO_COLOR`` is set."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.constants import KEY, PATIENCE
from tests.support.install_home import Home
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such paths")
@pytest.mark.parametrize("odd", ["a\nb", "a\x9b31mb"], ids=ascii)
def test_a_path_adds_neither_a_line_nor_an_escape_sequence(tmp_path: Path, odd: str) -> None:
    home, tokens = Home(tmp_path / odd, "cursor"), {"CALLERS_HTTP_TOKEN_FILE": str(tmp_path / odd / "tokens.json")}
    printed = [
        home.run(command, *options, CALLERS_API_KEY="" if command == "check" else KEY)
        for command, *options in (
            ("check",),
            ("config",),
            ("install", "--dry-run"),
            ("install",),
            ("install",),
            ("install", "--dry-run", "--sandbox"),
            ("install", "--sandbox"),
            ("uninstall",),
            ("uninstall",),
        )
    ]
    home.config.write_text("{")
    printed += [home.run("install", CALLERS_API_KEY=KEY)]
    printed += [
        run("token", *words, environment=tokens)
        for words in (("add", "ci", "--main"), ("revoke", "ci"), ("list",), ("revoke", "ci"))
    ]
    assert [code for code, _, _ in printed] == [1, *[0] * 8, 1, 0, 0, 0, 1]
    texts = "".join(out + errors for _, out, errors in printed)
    assert odd[1] == "\n" or odd[1] not in texts
    assert odd not in texts
    assert odd.replace(odd[1], " ") in texts
