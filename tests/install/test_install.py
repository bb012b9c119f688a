"""An installation puts one entry into a host, which starts the server; an uninstallation leaves no trace of it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters, stdio_client

from callers_mcp.cli.install import install
from callers_mcp.install import documents, plan
from callers_mcp.install.formats import Format
from callers_mcp.install.registry import HOSTS
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from tests.support.constants import KEY, PATIENCE, SAMPLE_ID
from tests.support.install_home import NEIGHBOURS_SECRET, Home, mode, realistic, refused
from tests.support.terminal import Terminal

FILES = [name for name, host in HOSTS.items() if not host.command]

pytestmark = [
    pytest.mark.measured,
    pytest.mark.skipif(sys.platform == "win32", reason="the paths and modes are POSIX's here"),
]


@pytest.fixture(params=FILES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home in which the host is configured, for each host whose configuration is ours to write."""
    home = Home(tmp_path, request.param)
    home.put(realistic(home.host))
    return home


@pytest.fixture
def cursor(tmp_path: Path) -> Home:
    """The same for one host, where all are treated alike."""
    home = Home(tmp_path, "cursor")
    home.put(realistic("cursor"))
    return home


def meaning(home: Home) -> dict[str, Any]:
    """What the configuration says, as another reader has it."""
    return meaning_of(home, home.config.read_bytes())


def meaning_of(home: Home, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8-sig")
    if home.row.format is Format.TOML:
        return tomllib.loads(text)
    without_comments = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', r"\1", text, flags=re.DOTALL)
    without_last_commas = re.sub(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', r"\1", without_comments)
    read: dict[str, Any] = json.loads(without_last_commas)
    return read


# The main job


async def test_the_host_starts_the_server_with_what_stands_in_its_configuration(home: Home, sandbox: Sandbox) -> None:
    home.install(CALLERS_API_KEY=API_KEY, CALLERS_BASE_URL=sandbox.base_url, CALLERS_ORGANIZATION_ID=ORGANIZATION_ID)
    entry = home.entry()
    assert entry
    assert Path(entry["command"]).is_absolute()
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry["env"])
    async with Client(stdio_client(parameters)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_campaign", "find_campaigns"]
        assert not (await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})).is_error


def test_all_else_in_the_configuration_stays_and_comes_back_to_the_byte(home: Home) -> None:
    before, meant = realistic(home.host), meaning(home)
    comments = re.findall(rb"^.*(?://|/\*|#).*$", before, re.MULTILINE)
    home.config.chmod(0o640)
    home.install()
    installed = meaning(home)
    assert installed[home.row.container[0]].pop("callers") == home.entry()
    assert installed == meant
    assert all(line in home.config.read_bytes() for line in comments)
    home.uninstall()
    assert home.config.read_bytes() == before
    assert mode(home.config) == 0o640


def test_a_later_change_of_somebody_else_stays_too(home: Home) -> None:
    """Then the backup is of no use, and the entry alone goes."""
    home.install()
    renamed = (b"postgres", b"sqlite"), (b"github", b"gitlab"), (b"playwright", b"puppeteer"), (b"vim", b"nano")
    for old, new in (*renamed, (b'"high"', b'"low"')):
        home.config.write_bytes(home.config.read_bytes().replace(old, new))
    home.uninstall()
    expected = realistic(home.host)
    for old, new in (*renamed, (b'"high"', b'"low"')):
        expected = expected.replace(old, new)
    assert home.config.read_bytes() == expected != realistic(home.host)


@pytest.mark.parametrize("first", [["--sandbox"], []], ids=["on samples", "with other settings"])
def test_however_often_it_was_installed_it_comes_back_to_the_byte(home: Home, first: list[str]) -> None:
    home.install(*first)
    home.install(CALLERS_ORGANIZATION_ID="abc")
    home.install(CALLERS_ORGANIZATION_ID="def")
    home.uninstall()
    assert home.config.read_bytes() == realistic(home.host)
    assert "nothing was changed" in home.uninstall()


def test_what_somebody_added_to_the_entry_stays_in_its_place(home: Home) -> None:
    home.install()
    path, text = (*home.row.container, "callers"), home.config.read_bytes().decode()
    added = {"disabled": True, **(home.entry() or {}), "timeout": 9}
    home.put(documents.set_entry(text, home.row.format, path, added).encode())
    home.install(CALLERS_ORGANIZATION_ID="abc")
    changed = home.entry() or {}
    assert (changed.pop("disabled"), changed.pop("timeout")) == (True, 9)
    assert changed["env"]["CALLERS_ORGANIZATION_ID"] == "abc"
    assert next(iter(home.entry() or {})) == "disabled"


def test_an_entry_by_hand_goes_as_well_and_does_not_come_back(home: Home) -> None:
    """Whatever the backup has, which the entry by hand is in."""
    path = (*home.row.container, "callers")
    text = realistic(home.host).decode()
    by_hand = {"command": "/x/callers-mcp", "args": [], "env": {"CALLERS_API_KEY": NEIGHBOURS_SECRET}}
    home.put(documents.set_entry(text, home.row.format, path, by_hand).encode())
    home.install()
    assert NEIGHBOURS_SECRET not in json.dumps(home.entry())
    home.uninstall()
    assert home.entry() is None
    assert meaning(home) == meaning_of(home, realistic(home.host))


@pytest.mark.parametrize("content", [None, b"", b"{}", b"{\n}\n", b'{"mcpServers": {\n}}'])
def test_a_host_without_any_server_comes_back_as_it_was(tmp_path: Path, content: bytes | None) -> None:
    home = Home(tmp_path, "cursor")
    if content is not None:
        home.put(content)
    home.install("--sandbox")
    assert home.entry()
    home.uninstall()
    assert (home.config.read_bytes() if home.config.exists() else None) == content


@pytest.mark.parametrize("host", FILES)
def test_a_host_without_a_configuration_gets_one_that_goes_again(tmp_path: Path, host: str) -> None:
    home = Home(tmp_path, host)
    home.install()
    assert (mode(home.config), mode(home.config.parent)) == (0o600, 0o700)
    home.uninstall()
    assert not home.config.exists()
    assert not home.key_file.exists()


def test_installing_again_changes_nothing_and_says_so(home: Home) -> None:
    home.install()
    before = home.files()
    assert "nothing was changed" in home.install()
    assert home.files() == before


def test_uninstalling_where_nothing_is_changes_nothing_and_says_so(home: Home) -> None:
    before = home.files()
    assert "nothing was changed" in home.uninstall()
    assert home.files() == before


def test_what_was_there_is_kept_once_for_its_owner_alone(home: Home) -> None:
    home.config.chmod(0o644)
    assert "callers-mcp-backup" in home.install()
    backup = home.config.with_name(home.config.name + ".callers-mcp-backup")
    assert (backup.read_bytes(), mode(backup)) == (realistic(home.host), 0o600)
    home.install("--sandbox")  # which keeps what was there before any entry of ours
    assert (backup.read_bytes(), mode(backup)) == (realistic(home.host), 0o600)
    assert [path.name for path in home.config.parent.glob("*backup*")] == [backup.name]


def test_a_link_to_the_configuration_stays_one(cursor: Home) -> None:
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


def test_an_entry_is_brought_up_to_date_and_keeps_what_somebody_added(cursor: Home) -> None:
    ours = {
        "command": "/old/bin/callers-mcp",
        "args": ["--sandbox"],
        "env": {"CALLERS_API_KEY": "pasted", "CALLERS_TIMEOUT": "9", "HTTPS_PROXY": "http://proxy:3128"},
        "disabled": True,
    }
    cursor.put(json.dumps({"mcpServers": {"callers": ours}}).encode())
    cursor.install(CALLERS_TIMEOUT="20")
    entry = cursor.entry()
    assert entry
    assert (entry["args"], entry["disabled"]) == ([], True)
    assert entry["command"] != ours["command"]
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
def test_the_sandbox_needs_no_key(home: Home, again: bool) -> None:
    for _ in range(1 + again):
        code, out, errors = home.run("install", "--sandbox")
        assert (code, errors) == (0, "")
    assert ("nothing was changed" in out) == again
    assert (home.entry() or {})["args"][-1] == "--sandbox"
    assert not home.key_file.exists()


# The dry run


@pytest.mark.parametrize("one_line", [False, True])
def test_a_dry_run_shows_the_change_and_makes_none(home: Home, one_line: bool) -> None:
    if one_line and home.row.format is Format.JSON:
        home.put(json.dumps(meaning(home)).encode())
    before = home.files()
    code, out, errors = home.run("install", "--dry-run", CALLERS_ORGANIZATION_ID="abc")
    assert (code, errors) == (0, "")
    assert out.startswith(f"--- {home.config}\n+++ {home.config}\n@@ ")
    for shown in ("callers", str(home.key_file), "CALLERS_ORGANIZATION_ID", '"abc"'):
        assert shown in out
    assert home.files() == before
    home.install()
    before = home.files()
    assert str(home.key_file) in home.uninstall("--dry-run")
    assert home.files() == before
    assert home.run("install", "--dry-run") == (0, "Nothing is to change.\n", "")


def test_a_dry_run_quotes_nothing_that_stands_beside_the_entry(tmp_path: Path) -> None:
    codex, cursor = Home(tmp_path, "codex"), Home(tmp_path, "cursor")
    codex.put(f'mcp_servers = {{ x = {{ env = {{ T = """A\n{NEIGHBOURS_SECRET}""" }} }} }}\n'.encode())
    cursor.put(f'{{"mcpServers": {{"a": "b\\\n{NEIGHBOURS_SECRET}" /* c\n {NEIGHBOURS_SECRET} */}}}}'.encode())
    for home in (codex, cursor):  # each run looks for it in what is shown
        assert "callers" in home.install("--dry-run")
        home.install()
        assert "callers" in home.uninstall("--dry-run")


def test_a_dry_run_quotes_no_secret_of_an_earlier_entry(home: Home) -> None:
    secrets = {"CALLERS_API_KEY": NEIGHBOURS_SECRET, "HTTPS_PROXY": f"http://u:{NEIGHBOURS_SECRET}@p"}
    by_hand = {"command": "/x/callers-mcp", "args": [], "env": secrets, "headers": {"X": NEIGHBOURS_SECRET}}
    text = documents.set_entry("", home.row.format, (*home.row.container, "callers"), by_hand)
    home.put(text.encode())
    for shown in (home.uninstall("--dry-run"), home.install("--dry-run", "--sandbox"), home.install("--dry-run")):
        assert "HTTPS_PROXY" in shown
        assert "..." in shown


def test_a_dry_run_tells_of_the_key_file_too(cursor: Home) -> None:
    says = f"The key goes into {cursor.key_file}.\n"
    assert cursor.install("--dry-run").endswith(says)
    cursor.install(CALLERS_API_KEY="first")
    assert cursor.install("--dry-run") == f"Nothing is to change.\n{says}"
    cursor.install()
    assert cursor.install("--dry-run") == "Nothing is to change.\n"
    assert cursor.uninstall("--dry-run").endswith(f"The key file {cursor.key_file} goes, too.\n")
    cursor.uninstall()
    assert not cursor.key_file.parent.parent.exists()


# The key


def test_the_key_is_in_a_file_for_its_owner_alone_and_nowhere_else(home: Home) -> None:
    home.install()
    assert (mode(home.key_file), mode(home.key_file.parent)) == (0o600, 0o700)
    assert [name for name, (content, _, _) in home.files().items() if KEY.encode() in content] == [
        str(home.key_file.relative_to(home.folder))
    ]
    assert (home.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file)}
    home.uninstall()
    assert not home.key_file.exists()


def test_another_key_takes_the_place_of_the_first(cursor: Home) -> None:
    cursor.install(CALLERS_API_KEY="first")
    cursor.key_file.parent.chmod(0o755)
    cursor.key_file.chmod(0o644)
    cursor.install()
    assert cursor.key_file.read_text() == KEY + "\n"
    assert (mode(cursor.key_file), mode(cursor.key_file.parent)) == (0o600, 0o700)
    assert list(cursor.key_file.parent.iterdir()) == [cursor.key_file]


def test_the_key_of_an_earlier_installation_is_asked_for_no_more(cursor: Home) -> None:
    cursor.install()
    assert cursor.run("install")[0] == 0
    assert cursor.key_file.read_text() == KEY + "\n"


def test_a_key_that_is_no_key_is_not_taken(cursor: Home) -> None:
    terminal = Terminal("install", "cursor", environment=cursor.environment())
    try:
        terminal.read_until(": ")
        terminal.write("k\u00e9y\r")
        assert "no API key" in terminal.read_until("ASCII.")
    finally:
        terminal.close()
    assert not cursor.key_file.exists()
    assert cursor.entry() is None


def test_a_key_alone_that_changes_is_said_to_have_changed(cursor: Home) -> None:
    cursor.install(CALLERS_API_KEY="first")
    assert "The key is in" in cursor.install()
    assert "nothing was changed" in cursor.install()


def test_the_key_file_goes_wherever_it_was_when_the_entry_was_made(tmp_path: Path) -> None:
    home = Home(tmp_path, "codex")
    elsewhere = tmp_path / "elsewhere"
    home.install(XDG_CONFIG_HOME=str(elsewhere))
    file = elsewhere / "callers-mcp/keys/codex.key"
    assert file.read_text() == KEY + "\n"
    assert f"The key file {file} is removed." in home.uninstall()
    assert not file.exists()


def test_a_key_that_another_installation_needs_meanwhile_stays(cursor: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at the same time: the one that comes too late takes nothing from the other."""
    for name, value in cursor.environment(CALLERS_API_KEY=KEY).items():
        monkeypatch.setenv(name, value)
    apply = plan.apply

    def late(change: plan.Change) -> Path | None:
        cursor.install()
        return apply(change)

    monkeypatch.setattr(plan, "apply", late)
    result = CliRunner().invoke(install, ["cursor"])
    assert (result.exit_code, "was changed meanwhile" in result.output) == (1, True)
    assert cursor.key_file.read_text() == KEY + "\n"
    assert cursor.entry()


def test_the_keys_of_other_hosts_stay(cursor: Home) -> None:
    other = Home(cursor.folder, "codex")
    other.install()
    cursor.install()
    cursor.uninstall()
    assert other.key_file.exists()


def test_on_a_terminal_the_key_is_asked_for_and_not_shown(cursor: Home) -> None:
    terminal = Terminal("install", "cursor", environment=cursor.environment())
    try:
        assert "not shown" in terminal.read_until(": ")
        terminal.write(KEY + "\r")
        shown = terminal.read_until("Next: ")
    finally:
        terminal.close()
    assert "Restart Cursor" in shown or "has this server now" in shown
    assert KEY not in shown
    assert cursor.key_file.read_text() == KEY + "\n"


def test_a_file_of_the_user_s_own_is_used_where_it_is_and_never_removed(cursor: Home) -> None:
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


# What is refused


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"mcpServers": {"a": {"env": {"KEY": "neighboursSecret"}}', "ends too early"),
        (b'{"mcpServers": {\n"a": neighboursSecret}}', "line 2"),
        (b'["neighboursSecret"]', "else than an object"),
        (b'{"mcpServers": ["neighboursSecret"]}', "mcpServers"),
        (b'{"mcpServers": {}, "mcpServers": {}}', "twice"),
        (b'{"mcpServers": {"callers": null}}', "null"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": "neighboursSecret"}'.encode("utf-16"), "not UTF-8"),
    ],
)
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_configuration_that_cannot_be_read_is_left_alone(
    cursor: Home, command: str, content: bytes, reason: str
) -> None:
    cursor.put(content)
    said = refused(cursor, command)
    assert reason in said
    assert str(cursor.config) in said


def test_a_toml_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, "codex")
    home.put(b'model = "neighboursSecret\n')
    assert "line 1" in refused(home)


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_folder_in_the_place_of_the_configuration_is_left_alone(cursor: Home, command: str) -> None:
    cursor.config.unlink()
    cursor.config.mkdir()
    assert "no regular file" in refused(cursor, command)


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_another_server_of_this_name_is_left_alone(cursor: Home, command: str) -> None:
    cursor.put(b'{"mcpServers": {"callers": {"command": "npx", "args": ["other", "neighboursSecret"]}}}')
    assert "another server" in refused(cursor, command)


def test_the_key_does_not_stay_where_the_configuration_could_not_be_written(cursor: Home) -> None:
    cursor.config.with_name("mcp.json.callers-mcp-backup").mkdir()  # which no file can take the place of
    assert "can't be written" in refused(cursor)
    cursor.config.with_name("mcp.json.callers-mcp-backup").rmdir()
    cursor.install(CALLERS_API_KEY="first")
    cursor.config.with_name("mcp.json.callers-mcp-backup").unlink()
    cursor.config.with_name("mcp.json.callers-mcp-backup").mkdir()
    refused(cursor, CALLERS_TIMEOUT="7")
    assert cursor.key_file.read_text() == "first\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"CALLERS_API_KEY": ""}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "${CALLERS_KEY}"}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "k\u00e9y"}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY_FILE": "/absent"}, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/absent"}, "CALLERS_API_KEY_FILE"),
        ({"CALLERS_TIMEOUT": "soon"}, "CALLERS_TIMEOUT"),
        ({"CALLERS_BASE_URL": "http://api.example"}, "CALLERS_BASE_URL"),
    ],
)
def test_settings_that_no_server_could_use_are_not_installed(
    cursor: Home, variables: dict[str, str], named: str
) -> None:
    assert named in refused(cursor, code=2, **variables)


def test_a_variable_that_is_no_setting_is_said_and_left_out(cursor: Home) -> None:
    code, _, errors = cursor.run("install", CALLERS_API_KEY=KEY, CALLERS_TIMEOUTS="9", CALLERS_LOG_LEVEL="${LEVEL}")
    assert code == 0
    assert "did you mean CALLERS_TIMEOUT?" in errors
    assert (cursor.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(cursor.key_file)}


def test_a_host_that_is_not_known_is_answered_with_those_that_are(tmp_path: Path) -> None:
    code, out, errors = Home(tmp_path, "emacs").run("install")
    assert (code, out) == (2, "")
    assert all(name in errors for name in HOSTS)


def test_an_installation_that_uvx_throws_away_is_not_installed(cursor: Home) -> None:
    """The host would have a server until the next cleaning of the cache."""
    passing = cursor.folder / "uv/archive-v0/Xy/bin/python"
    passing.parent.mkdir(parents=True)
    passing.symlink_to(sys.executable)
    environment = cursor.environment(CALLERS_API_KEY=KEY, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    before = cursor.files()
    done = subprocess.run(
        [passing, "-m", "callers_mcp", "install", "cursor"],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "uv tool install" in done.stderr
    assert cursor.files() == before
