"""The API key is kept in one private file for each host, and the host's entry names that file."""

import subprocess
import sys
from pathlib import Path

import pytest

from callers_mcp.install.plan import Change
from callers_mcp.install.registry import HOSTS
from tests.support.constants import KEY, PATIENCE
from tests.support.install_home import Home, mode, refused
from tests.support.key_leaks import secret_parts
from tests.support.terminal import terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths and modes")


def test_the_key_is_only_in_a_private_file(each_format: Home) -> None:
    home = each_format
    home.install()
    assert (mode(home.key_file), mode(home.key_file.parent)) == (0o600, 0o700)
    assert [name for name, (content, _, _) in home.files().items() if KEY.encode() in content] == [
        str(home.key_file.relative_to(home.folder))
    ]
    assert (home.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file)}
    home.uninstall()
    assert not home.key_file.exists()


def test_a_new_key_replaces_the_earlier_one(cursor: Home) -> None:
    cursor.install(CALLERS_API_KEY="first")
    cursor.key_file.parent.chmod(0o755)
    cursor.key_file.chmod(0o644)
    cursor.install()
    assert cursor.key_file.read_text() == KEY + "\n"
    assert (mode(cursor.key_file), mode(cursor.key_file.parent)) == (0o600, 0o700)
    assert list(cursor.key_file.parent.iterdir()) == [cursor.key_file]


def test_a_second_install_needs_no_key(cursor: Home) -> None:
    cursor.install()
    assert cursor.run("install")[0] == 0
    assert cursor.key_file.read_text() == KEY + "\n"


def test_install_reports_that_only_the_key_changed(cursor: Home) -> None:
    cursor.install(CALLERS_API_KEY="first")
    assert "The key is in" in cursor.install()
    assert "nothing was changed" in cursor.install()


def test_uninstall_removes_the_key_file_that_the_entry_names(tmp_path: Path) -> None:
    """Also if the configuration folder is a different one by now."""
    home = Home(tmp_path, "codex")
    elsewhere = tmp_path / "elsewhere"
    home.install(XDG_CONFIG_HOME=str(elsewhere))
    file = elsewhere / "callers-mcp/keys/codex.key"
    assert file.read_text() == KEY + "\n"
    assert f"Removed the key file {file}." in home.uninstall()
    assert not file.exists()


def test_of_a_link_to_a_file_of_the_user_only_the_link_is_removed(cursor: Home) -> None:
    own = cursor.folder / "callers"
    own.write_text(KEY)
    cursor.key_file.parent.mkdir(parents=True)
    cursor.key_file.symlink_to(own)
    cursor.install()
    cursor.uninstall()
    assert not cursor.key_file.is_symlink()
    assert own.exists()


def test_a_key_file_that_the_new_entry_does_not_use_is_removed(cursor: Home) -> None:
    own = cursor.folder / "callers"
    own.write_text(KEY)
    for options, variables in (["--sandbox"], {}), ([], {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": str(own)}):
        cursor.install()
        assert f"The key file {cursor.key_file} would be removed." in cursor.install("--dry-run", *options, **variables)
        assert f"Removed the key file {cursor.key_file}." in cursor.install(*options, **variables)
        assert not cursor.key_file.exists()
    cursor.install()
    linked = cursor.folder / "linked"
    linked.symlink_to(cursor.key_file)
    cursor.install(CALLERS_API_KEY="", CALLERS_API_KEY_FILE=str(linked))
    assert cursor.key_file.exists()


def test_the_keys_of_other_hosts_stay(cursor: Home) -> None:
    other = Home(cursor.folder, "codex")
    other.install()
    cursor.install()
    cursor.uninstall()
    assert other.key_file.exists()


def test_a_key_file_of_the_user_is_used_in_place_and_never_removed(cursor: Home) -> None:
    own = cursor.folder / "secrets/callers"
    own.parent.mkdir()
    own.write_text(KEY)
    for named in (str(own), "~/secrets/callers"):
        cursor.install(CALLERS_API_KEY="", CALLERS_API_KEY_FILE=named)
        assert str(own) in cursor.run("config", CALLERS_API_KEY_FILE=named)[1]
        assert (cursor.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(own)}
    assert not cursor.key_file.exists()
    cursor.uninstall()
    assert own.read_text() == KEY


def test_the_key_is_put_back_if_the_configuration_cannot_be_written(cursor: Home) -> None:
    cursor.config.with_name("mcp.json.callers-mcp-backup").mkdir()  # no file can replace it
    assert "can't be written" in refused(cursor)
    cursor.config.with_name("mcp.json.callers-mcp-backup").rmdir()
    cursor.install(CALLERS_API_KEY="first")
    cursor.config.with_name("mcp.json.callers-mcp-backup").unlink()
    cursor.config.with_name("mcp.json.callers-mcp-backup").mkdir()
    refused(cursor, CALLERS_TIMEOUT="7")
    assert cursor.key_file.read_text() == "first\n"


@pytest.mark.parametrize(("command", "options"), [("install", ["--sandbox"]), ("uninstall", [])])
def test_the_key_that_a_killed_installation_left_behind_is_removed(
    cursor: Home, command: str, options: list[str]
) -> None:
    cursor.key_file.parent.mkdir(parents=True)
    script = (
        "import os, signal, sys; from pathlib import Path; from callers_mcp import files;"
        "kill = lambda: os.kill(os.getpid(), signal.SIGKILL);"
        "files.write(Path(sys.argv[1]), sys.argv[2].encode(), before_replacing=kill)"
    )
    subprocess.run([sys.executable, "-c", script, str(cursor.key_file), KEY], timeout=PATIENCE)
    assert [path.read_text() for path in cursor.key_file.parent.iterdir()] == [KEY]
    assert cursor.run(command, *options)[0] == 0
    assert not cursor.key_file.parent.exists() or not list(cursor.key_file.parent.iterdir())


def test_uninstall_removes_the_key_in_the_usual_folder_too(cursor: Home, tmp_path: Path) -> None:
    cursor.install(XDG_CONFIG_HOME=str(tmp_path / "elsewhere"))
    cursor.key_file.parent.mkdir(parents=True)
    cursor.key_file.write_text(KEY)
    assert str(cursor.key_file) in cursor.uninstall("--dry-run")
    assert cursor.uninstall().count("Removed the key file ") == 2
    assert not cursor.key_file.exists()


@pytest.mark.measured
def test_a_terminal_prompts_for_the_key_without_showing_it(cursor: Home) -> None:
    with terminal("install", "cursor", "--no-check", environment=cursor.environment()) as shell:
        assert "not shown" in shell.read_until(": ")
        shell.write(KEY + "\r")
        shown = shell.read_until("Next: ")
        assert shell.process.wait(PATIENCE) == 0
    assert "Restart Cursor" in shown or "Installed this server in Cursor" in shown
    assert KEY not in shown
    assert cursor.key_file.read_text() == KEY + "\n"


@pytest.mark.measured
def test_a_terminal_rejects_an_answer_that_cannot_be_a_key(cursor: Home) -> None:
    with terminal("install", "cursor", "--no-check", environment=cursor.environment()) as shell:
        shell.read_until(": ")
        shell.write("k\u00e9y\r")
        assert "not a valid API key" in shell.read_until("ASCII.")
        assert shell.process.wait(PATIENCE) == 2
    assert not cursor.key_file.exists()
    assert cursor.entry() is None


def test_a_planned_change_does_not_show_the_key() -> None:
    entry = {"env": {"CALLERS_API_KEY": KEY}}
    change = Change(HOSTS["cursor"], Path("mcp.json"), KEY.encode(), KEY.encode(), entry, entry)
    assert not secret_parts(repr(change) + str(change))
