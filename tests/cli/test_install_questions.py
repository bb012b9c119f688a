"""``install`` tests the key on a terminal, and finds the organization's id by a campaign."""

import signal
import sys
from pathlib import Path

import pytest

from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY, PATIENCE, SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.install_home import Home
from tests.support.terminal import terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths")

QUESTION = "Paste a campaign's id to switch on search by name (Enter to skip): "


@pytest.fixture
def home(tmp_path: Path, sandbox_environment: dict[str, str]) -> Home:
    """A home with Cursor, whose commands reach the sandbox."""
    return Home(tmp_path, "cursor", settings=sandbox_environment).put_realistic()


def organization(home: Home) -> str | None:
    found: str | None = (home.entry() or {}).get("env", {}).get("CALLERS_ORGANIZATION_ID")
    return found


def test_a_terminal_tests_the_key_and_finds_the_organization(home: Home) -> None:
    with terminal("install", "cursor", environment=home.environment()) as shell:
        shown = shell.read_until(QUESTION)
        assert f"Testing the key at {home.settings['CALLERS_BASE_URL']} ..." in shown
        assert "not proven until a campaign is looked up" in shown
        shell.write("no id in this\n")
        assert "no campaign id, or more than one" in shell.read_until(QUESTION)
        shell.write(f"{SAMPLE_ID} {'0' * 24}\n")
        assert "no campaign id, or more than one" in shell.read_until(QUESTION)
        shell.write(f"{'0' * 24}\n")
        assert "No campaign" in shell.read_until(QUESTION)
        assert home.entry() is None
        shell.write(f"https://app.callers.ai/campaigns/{SAMPLE_ID}?tab=1\n")
        assert f"belongs to organization {ORGANIZATION_ID}." in shell.read_until("Use it? [y/N]: ")
        shell.write("y\n")
        assert shell.process.wait(PATIENCE) == 0
    assert organization(home) == ORGANIZATION_ID
    home.uninstall()
    assert organization(home) is None


@pytest.mark.parametrize("answers", ["\n", f"{SAMPLE_ID}\n\n\n"], ids=["skipped", "refused"])
def test_no_organization_is_written_without_a_yes(home: Home, answers: str) -> None:
    code, _, errors = home.run("install", answers=answers)
    assert code == 0
    assert QUESTION.strip() in errors
    assert home.entry()
    assert organization(home) is None


def test_a_refused_key_is_not_written(home: Home) -> None:
    before = home.config.read_bytes()
    code, _, errors = home.run("install", answers="", CALLERS_API_KEY="wrong")
    assert code == 1
    assert "refused the API key" in errors
    assert "Nothing was changed." in errors
    assert "check CALLERS_API_KEY" in errors
    assert home.config.read_bytes() == before
    assert not home.key_file.exists()


@pytest.mark.parametrize("options", [(), ("--campaign-id", SAMPLE_ID)])
def test_a_refused_key_without_a_variable_can_be_replaced(
    home: Home, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typed one by typing it again; one that is stored by the variable, as the command does not prompt again."""
    home.settings["CALLERS_API_KEY"] = " "
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda prompt: "wrong")
    code, _, errors = home.run("install", *options, answers="")
    assert code == 1
    assert errors.endswith("(401). Nothing was changed. Run the command again, and type the right key.\n")
    assert not home.key_file.exists()
    home.install("--no-check", CALLERS_API_KEY="wrong")
    code, _, errors = home.run("install", *options, answers="", CALLERS_TIMEOUT="9")
    assert code == 1
    assert errors.endswith("To replace the stored key, set CALLERS_API_KEY and run the command again.\n")


def test_ctrl_c_at_the_prompt_for_the_key_leaves_a_usable_terminal(home: Home) -> None:
    with terminal("install", "cursor", environment=home.environment(CALLERS_API_KEY="")) as shell:
        shell.read_until("(not shown): ")
        assert not shell.shows_typing()
        shell.process.send_signal(signal.SIGINT)
        assert "callers-mcp: stopped. Nothing was changed." in shell.read_until("changed.")
        assert shell.process.wait(PATIENCE) == 130
        assert shell.shows_typing()
    assert home.entry() is None


@pytest.mark.parametrize("answer", [fault.answer({}, status=400), fault.answer({}, status=503)], ids=["400", "503"])
def test_an_answer_that_says_nothing_about_the_key_does_not_prevent_the_installation(
    tmp_path: Path, answer: fault.Behaviour
) -> None:
    with FaultServer(answer) as server:
        home = Home(tmp_path, "cursor", settings={"CALLERS_BASE_URL": server.base_url, "CALLERS_MAX_ATTEMPTS": "1"})
        home.put_realistic()
        code, _, errors = home.run("install", "--yes", answers="", CALLERS_API_KEY=KEY)
    assert code == 0
    assert "not proven" in errors or "could not be tested" in errors
    assert home.entry()


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        ((), "y\ny\n\n"),  # creates the folder, goes on, and skips the search by name
        (("--yes",), ""),
        (("--yes", "--campaign-id", SAMPLE_ID), ""),
        (("--yes", "--no-check"), ""),
    ],
)
def test_each_question_has_an_option_that_answers_it(
    tmp_path: Path, sandbox_environment: dict[str, str], options: tuple[str, ...], answers: str
) -> None:
    """Of Claude Desktop, which has all questions; a variable answers the question for the key."""
    home = Home(tmp_path, "claude-desktop", settings=sandbox_environment)
    code, _, errors = home.run("install", *options, answers=answers)
    assert code == 0
    assert ("Go on?" in errors) == ("Create it?" in errors) == (QUESTION.strip() in errors) == (not options)
    assert (organization(home) is not None) == ("--campaign-id" in options)
    home.uninstall()
    assert not home.config.exists()
    assert not home.key_file.exists()


def test_uninstall_removes_what_a_later_campaign_id_wrote(home: Home) -> None:
    before = home.config.read_bytes()
    assert home.run("install")[0] == home.run("install", "--campaign-id", SAMPLE_ID)[0] == 0
    assert organization(home) == ORGANIZATION_ID
    home.uninstall()
    assert home.config.read_bytes() == before
    assert not home.key_file.exists()


def test_the_key_is_tested_with_the_settings_that_the_entry_keeps(home: Home) -> None:
    """So the key goes only to the API of the entry."""
    home.install("--no-check", **home.settings)
    home.settings = {"CALLERS_API_KEY": ""}
    with FaultServer(fault.answer({}, status=500)) as server:
        unused = {"HTTPS_PROXY": server.base_url}
        assert home.run("install", "--campaign-id", SAMPLE_ID, **unused)[0] == 0
    assert organization(home) == ORGANIZATION_ID
    home.put(home.config.read_bytes().replace(b"CALLERS_BASE_URL", b"CALLERS_TIMEOUT"))
    code, _, errors = home.run("install", "--campaign-id", SAMPLE_ID)
    assert code == 1
    assert "CALLERS_TIMEOUT" in errors
    assert "the entry in Cursor" in errors


def test_a_campaign_id_finds_the_organization_without_a_question(home: Home) -> None:
    code, out, errors = home.run("install", "--campaign-id", SAMPLE_ID)
    assert (code, errors) == (0, "")
    assert organization(home) == ORGANIZATION_ID
    assert "Installed" in out


@pytest.mark.parametrize(
    ("campaign_id", "exit_code", "words"),
    [
        ("0" * 24, 1, "Nothing was changed."),
        *((text, 2, "--campaign-id takes 24 hexadecimal digits") for text in ("x", "", f"{SAMPLE_ID} {SAMPLE_ID}")),
    ],
)
def test_a_campaign_id_that_is_not_found_prevents_the_installation(
    home: Home, campaign_id: str, exit_code: int, words: str
) -> None:
    before = home.config.read_bytes()
    code, out, errors = home.run("install", "--campaign-id", campaign_id)
    assert (code, out) == (exit_code, "")
    assert words in errors.splitlines()[-1]
    assert errors.count("\n") == (1 if exit_code == 1 else 4), "click adds the usage and how to get help"
    assert home.config.read_bytes() == before
    assert not home.key_file.exists()


def test_a_campaign_without_an_organization_prevents_the_installation(tmp_path: Path) -> None:
    with FaultServer(fault.answer(campaign(organizationId="\u202eoops"))) as server:
        home = Home(tmp_path, "cursor", settings={"CALLERS_BASE_URL": server.base_url}).put_realistic()
        code, out, errors = home.run("install", "--campaign-id", ID, CALLERS_API_KEY=KEY)
    assert (code, out) == (1, "")
    assert "has no organization id" in errors
    assert home.entry() is None


def test_the_sandbox_takes_no_campaign_id(home: Home) -> None:
    assert home.run("install", "--sandbox", "--campaign-id", SAMPLE_ID)[0] == 2
