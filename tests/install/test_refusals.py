"""If ``install`` or ``uninstall`` refuses, it reports why in one line and changes no file."""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import pytest

import callers_mcp
from callers_mcp.install import lock
from tests.support.constants import KEY, PATIENCE
from tests.support.install_home import Home, refused

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths and modes")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"mcpServers": {"a": {"env": {"KEY": "neighboursSecret"}}', "line 1"),
        (b'{"mcpServers": {\n"a": neighboursSecret}}', "line 2"),
        (b"{\n'mcpServers': {'a': 'neighboursSecret'}}", "JSON5 is not"),
        (b'["neighboursSecret"]', "the file is not an object"),
        (b'{"mcpServers": ["neighboursSecret"]}', "mcpServers"),
        (b'{"mcpServers": {}, "mcpServers": {}}', "twice"),
        (b'{"mcpServers": {"callers": null}}', "mcpServers.callers is not an object"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": "neighboursSecret"}'.encode("utf-16"), "not UTF-8"),
    ],
)
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_configuration_that_cannot_be_read_is_not_changed(
    cursor: Home, command: str, content: bytes, reason: str
) -> None:
    cursor.put(content)
    message = refused(cursor, command)
    assert reason in message
    assert str(cursor.config) in message


def test_toml_that_cannot_be_read_is_not_changed(tmp_path: Path) -> None:
    home = Home(tmp_path, "codex")
    home.put(b'model = "neighboursSecret\n')
    assert "line 1" in refused(home)


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_folder_at_the_path_of_the_configuration_is_not_changed(cursor: Home, command: str) -> None:
    cursor.config.unlink()
    cursor.config.mkdir()
    assert "directory" in refused(cursor, command)


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_another_server_of_the_same_name_is_not_changed(cursor: Home, command: str) -> None:
    cursor.put(b'{"mcpServers": {"callers": {"command": "npx", "args": ["other", "neighboursSecret"]}}}')
    assert "another server" in refused(cursor, command)


def test_a_folder_at_the_path_of_the_key_file_is_not_changed(cursor: Home) -> None:
    cursor.key_file.mkdir(parents=True)
    assert "directory" in refused(cursor)


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


def test_an_installation_in_a_cache_is_not_installed(cursor: Home) -> None:
    """The host would have no server after uv cleans its cache."""
    environment = cursor.folder / "cache/any/environment"
    venv.create(environment, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(environment)})
    Path(packages, "all.pth").write_text("\n".join([str(Path(callers_mcp.__file__).parents[1]), *sys.path[1:]]))
    command = [str(environment / "bin/python"), "-P", "-m", "callers_mcp", "install", "cursor"]
    before = cursor.files()
    for variables, is_refused in (({"UV_CACHE_DIR": str(cursor.folder / "cache")}, True), ({}, False)):
        done = subprocess.run(
            command,
            env=cursor.environment(CALLERS_API_KEY=KEY, **variables),
            cwd=cursor.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, "uv tool install" in done.stderr) == (int(is_refused), is_refused), done.stderr
        assert (cursor.files() == before) == is_refused


def test_an_installation_waits_for_another_one_but_not_forever(
    cursor: Home, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(lock, "_TIMEOUT_SECONDS", 0.0)
    with monkeypatch.context() as other:
        other.setenv("HOME", str(cursor.folder))
        with lock.exclusive():
            assert "another installation" in refused(cursor)
            assert "another installation" in refused(cursor, "uninstall")
    cursor.install()
    assert [*temporary.iterdir()] == [], "no file for the lock stays behind"


def test_a_text_that_utf_8_cannot_hold_is_not_written(cursor: Home) -> None:
    cursor.put(b'{"mcpServers": {"callers": {"command": "/x/callers-mcp", "note": "\\ud83d"}}}')
    assert "not UTF-8" in refused(cursor)


@pytest.mark.parametrize("command", ["install", "config"])
@pytest.mark.parametrize("host", ["cursor", "claude-code"])
def test_a_setting_that_holds_the_key_is_named_and_the_key_is_not_shown(
    tmp_path: Path, host: str, command: str
) -> None:
    home = Home(tmp_path, host)
    before = home.files()
    code, out, errors = home.run(command, CALLERS_API_KEY=KEY, CALLERS_SUB_ORGANIZATION_ID=KEY)
    assert (code, out) == (2, "")
    assert "CALLERS_SUB_ORGANIZATION_ID holds the API key" in errors
    assert KEY not in errors
    assert home.files() == before
