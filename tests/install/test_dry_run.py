"""``--dry-run`` shows what would change in a configuration, without secrets, and changes nothing."""

import json
import sys
from pathlib import Path

import pytest

from callers_mcp.install import documents
from tests.support.install_home import NEIGHBOURS_SECRET, Home, meaning

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths")


@pytest.mark.parametrize("one_line", [False, True])
def test_a_dry_run_shows_the_change_and_changes_nothing(each_format: Home, one_line: bool) -> None:
    home = each_format
    if one_line and home.row.format == "json":
        home.put(json.dumps(meaning(home)).encode())
    before = home.files()
    code, out, errors = home.run("install", "--dry-run", CALLERS_ORGANIZATION_ID="a" * 24)
    assert (code, errors) == (0, "")
    assert out.startswith(f"--- {home.config}\n+++ {home.config}\n@@ ")
    for shown in ("callers", "the other settings of", str(home.key_file), "CALLERS_ORGANIZATION_ID", f'"{"a" * 24}"'):
        assert shown in out
    assert home.files() == before
    home.install()
    before = home.files()
    assert str(home.key_file) in home.uninstall("--dry-run")
    assert home.files() == before
    assert home.run("install", "--dry-run") == (0, "Nothing would change.\n", "")


def test_a_dry_run_quotes_no_text_beside_the_entry(tmp_path: Path) -> None:
    codex, cursor = Home(tmp_path, "codex"), Home(tmp_path, "cursor")
    codex.put(f'[mcp_servers.x]\nenv = {{ T = """A\n{NEIGHBOURS_SECRET}""" }}\n'.encode())
    cursor.put(f'{{"mcpServers": {{"a": "b" /* c\n {NEIGHBOURS_SECRET} */}}}}'.encode())
    for home in (codex, cursor):  # each run looks for the secret in the output
        assert "callers" in home.install("--dry-run")
        home.install()
        assert "callers" in home.uninstall("--dry-run")


def test_a_dry_run_quotes_no_secret_of_an_earlier_entry(each_format: Home) -> None:
    home = each_format
    secrets = {"CALLERS_API_KEY": NEIGHBOURS_SECRET, "HTTPS_PROXY": f"http://u:{NEIGHBOURS_SECRET}@p"}
    by_hand = {"command": "/x/callers-mcp", "args": [], "env": secrets, "headers": {"X": NEIGHBOURS_SECRET}}
    text = documents.set_entry("", home.row.format, (*home.row.container, "callers"), by_hand)
    home.put(text.encode())
    for shown in (home.uninstall("--dry-run"), home.install("--dry-run", "--sandbox"), home.install("--dry-run")):
        assert "HTTPS_PROXY" in shown
        assert "..." in shown


def test_a_dry_run_names_the_key_file_that_changes(cursor: Home) -> None:
    stored = f"The key would be stored in {cursor.key_file}.\n"
    assert cursor.install("--dry-run").endswith(stored)
    cursor.install(CALLERS_API_KEY="first")
    assert cursor.install("--dry-run") == f"Nothing would change.\n{stored}"
    cursor.install()
    assert cursor.install("--dry-run") == "Nothing would change.\n"
    assert cursor.uninstall("--dry-run").endswith(f"The key file {cursor.key_file} would be removed.\n")
    cursor.uninstall()
    assert not cursor.key_file.parent.parent.exists()
