"""An installation adds one entry to a host's configuration, and an uninstallation restores what was there."""

import json
import re
import sys
from pathlib import Path

import pytest

from callers_mcp.install import documents
from callers_mcp.install.entry import server_command
from callers_mcp.install.registry import HOSTS
from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support.constants import KEY
from tests.support.install_home import CREATED, NEIGHBOURS_SECRET, Home, meaning, mode, realistic, squeezed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths and modes")


def test_the_entry_starts_this_server_with_the_settings_of_the_environment(home: Home) -> None:
    home.install(CALLERS_BASE_URL="http://127.0.0.1:9", CALLERS_ORGANIZATION_ID=ORGANIZATION_ID)
    command, *arguments = server_command()
    assert Path(command).is_absolute()
    assert home.entry() == {
        **home.row.stdio,
        "command": command,
        "args": arguments,
        "env": {
            "CALLERS_API_KEY_FILE": str(home.key_file),
            "CALLERS_BASE_URL": "http://127.0.0.1:9",
            "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID,
        },
    }


def test_uninstall_restores_the_file_byte_for_byte_and_install_changes_nothing_else(home: Home) -> None:
    before, meant = realistic(home.host), meaning(home)
    comments = re.findall(rb"^.*(?://|/\*|#).*$", before, re.MULTILINE)
    home.config.chmod(0o640)
    home.install()
    installed = meaning(home)
    assert installed[home.row.container[0]].pop("callers") == home.written()
    assert installed == meant
    assert all(line in home.config.read_bytes() for line in comments)
    home.uninstall()
    assert home.config.read_bytes() == before
    assert mode(home.config) == 0o640


def test_uninstall_keeps_later_changes_by_other_programs(home: Home) -> None:
    """The backup can't be used, so only the entry is removed."""
    home.install()
    renamed = (b"postgres", b"sqlite"), (b"github", b"gitlab"), (b"playwright", b"puppeteer"), (b"vim", b"nano")
    for old, new in (*renamed, (b'"high"', b'"low"')):
        home.config.write_bytes(home.config.read_bytes().replace(old, new))
    home.uninstall()
    expected = realistic(home.host)
    for old, new in (*renamed, (b'"high"', b'"low"')):
        expected = expected.replace(old, new)
    assert squeezed(home.config.read_text()) == squeezed(expected.decode()) != squeezed(realistic(home.host).decode())


@pytest.mark.parametrize("first", [["--sandbox"], []], ids=["sandbox first", "other settings first"])
def test_uninstall_restores_the_file_after_several_installations(each_format: Home, first: list[str]) -> None:
    each_format.install(*first)
    each_format.install(CALLERS_ORGANIZATION_ID="a" * 24)
    each_format.install(CALLERS_ORGANIZATION_ID="b" * 24)
    each_format.uninstall()
    assert each_format.config.read_bytes() == realistic(each_format.host)
    assert "nothing was changed" in each_format.uninstall()


def test_keys_that_the_user_added_to_the_entry_keep_their_place(each_format: Home) -> None:
    home = each_format
    home.install()
    path, text = (*home.row.container, "callers"), home.config.read_bytes().decode()
    added = {"disabled": True, **(home.entry() or {}), "timeout": 9}
    home.put(documents.set_entry(text, home.row.format, path, added).encode())
    home.install(CALLERS_ORGANIZATION_ID="a" * 24)
    changed = home.entry() or {}
    assert (changed.pop("disabled"), changed.pop("timeout")) == (True, 9)
    assert changed["env"]["CALLERS_ORGANIZATION_ID"] == "a" * 24
    assert next(iter(home.entry() or {})) == "disabled"


def test_uninstall_removes_an_entry_that_was_written_by_hand(each_format: Home) -> None:
    """The backup contains that entry, so it is not restored."""
    home = each_format
    path = (*home.row.container, "callers")
    text = realistic(home.host).decode()
    by_hand = {"command": "/x/callers-mcp", "args": [], "env": {"CALLERS_API_KEY": NEIGHBOURS_SECRET}}
    home.put(documents.set_entry(text, home.row.format, path, by_hand).encode())
    home.install()
    assert NEIGHBOURS_SECRET not in json.dumps(home.entry())
    home.uninstall()
    assert home.entry() is None
    assert meaning(home) == meaning(home, realistic(home.host))


@pytest.mark.parametrize("content", [None, b"", b"{}", b"{\n}\n", b'{"mcpServers": {\n}}'])
def test_uninstall_restores_a_configuration_without_servers(tmp_path: Path, content: bytes | None) -> None:
    home = Home(tmp_path, "cursor")
    if content is not None:
        home.put(content)
    home.install("--sandbox")
    assert home.entry()
    home.uninstall()
    assert (home.config.read_bytes() if home.config.exists() else None) == content


@pytest.mark.parametrize("host", CREATED)
def test_a_configuration_that_install_created_is_private_and_uninstall_removes_it(tmp_path: Path, host: str) -> None:
    home = Home(tmp_path, host)
    home.install()
    assert mode(home.config) == 0o600
    home.uninstall()
    assert not home.config.exists()
    assert not home.key_file.exists()


def test_a_second_install_changes_nothing_and_says_so(each_format: Home) -> None:
    each_format.install()
    before = each_format.files()
    assert "nothing was changed" in each_format.install()
    assert each_format.files() == before


def test_uninstall_without_an_entry_changes_nothing_and_says_so(each_format: Home) -> None:
    before = each_format.files()
    assert "nothing was changed" in each_format.uninstall()
    assert each_format.files() == before


def test_the_original_file_has_one_private_backup(each_format: Home) -> None:
    home = each_format
    home.config.chmod(0o644)
    assert "callers-mcp-backup" in home.install()
    backup = home.config.with_name(home.config.name + ".callers-mcp-backup")
    assert (backup.read_bytes(), mode(backup)) == (realistic(home.host), 0o600)
    home.install("--sandbox")  # keeps the backup from before the first entry
    assert (backup.read_bytes(), mode(backup)) == (realistic(home.host), 0o600)
    assert [path.name for path in home.config.parent.glob("*backup*")] == [backup.name]


def test_a_symbolic_link_to_the_configuration_stays_a_link(cursor: Home) -> None:
    elsewhere = cursor.folder / "dotfiles/mcp.json"
    elsewhere.parent.mkdir()
    cursor.config.rename(elsewhere)
    cursor.config.symlink_to(elsewhere)
    cursor.install()
    assert cursor.config.is_symlink()
    assert b"callers" in elsewhere.read_bytes()
    cursor.uninstall()
    assert cursor.config.is_symlink()
    assert elsewhere.read_bytes() == realistic("cursor")


def test_install_updates_an_older_entry_and_keeps_what_the_user_added(cursor: Home) -> None:
    older = {
        "command": "/old/bin/callers-mcp",
        "args": ["--sandbox"],
        "env": {"CALLERS_API_KEY": "pasted", "CALLERS_TIMEOUT": "9", "HTTPS_PROXY": "http://proxy:3128"},
        "disabled": True,
    }
    cursor.put(json.dumps({"mcpServers": {"callers": older}}).encode())
    cursor.install(CALLERS_TIMEOUT="20")
    entry = cursor.entry()
    assert entry
    assert (entry["args"], entry["disabled"]) == ([], True)
    assert entry["command"] != older["command"]
    assert entry["env"] == {
        "CALLERS_API_KEY_FILE": str(cursor.key_file),
        "CALLERS_TIMEOUT": "20",
        "HTTPS_PROXY": "http://proxy:3128",
    }
    cursor.install("--sandbox")
    entry = cursor.entry()
    assert entry
    assert entry["args"] == ["--sandbox"]
    assert entry["env"] == {"CALLERS_TIMEOUT": "20", "HTTPS_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize("again", [False, True], ids=["installed", "installed again"])
def test_the_sandbox_needs_no_key(each_format: Home, again: bool) -> None:
    for _ in range(1 + again):
        code, out, errors = each_format.run("install", "--sandbox")
        assert (code, errors) == (0, "")
    assert ("nothing was changed" in out) == again
    assert (each_format.entry() or {})["args"][-1] == "--sandbox"
    assert not each_format.key_file.exists()


def test_a_variable_that_is_not_a_setting_is_reported_and_left_out(cursor: Home) -> None:
    code, _, errors = cursor.run("install", CALLERS_API_KEY=KEY, CALLERS_TIMEOUTS="9", CALLERS_LOG_LEVEL="${LEVEL}")
    assert code == 0
    assert "did you mean CALLERS_TIMEOUT?" in errors
    assert (cursor.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(cursor.key_file)}


def test_an_unknown_host_is_answered_with_the_known_hosts(tmp_path: Path) -> None:
    code, out, errors = Home(tmp_path, "emacs").run("install")
    assert (code, out) == (2, "")
    assert all(name in errors for name in HOSTS)


def test_the_output_says_whether_campaigns_are_found_by_name_and_how_to_switch_it_on(tmp_path: Path) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    off = re.compile(r"^Search by name is off\. To switch it on: .*callers-mcp install cursor --campaign-id ID$", re.M)
    assert off.search(home.install())
    assert off.search(home.install()), "the second time, too"
    main = {"CALLERS_SUB_ORGANIZATION_ID": "Main", "CALLERS_SUB_ORGANIZATIONS": "main"}
    assert off.search(home.install(**main)), "the main organization has no id yet"
    assert "\nSearch by name is on.\n" in home.install(CALLERS_ORGANIZATION_ID=ORGANIZATION_ID)
    assert "\nSearch by name is on.\n" in home.install()
    assert "Search by name" not in home.install("--sandbox")
