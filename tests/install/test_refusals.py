"""If ``install`` or ``uninstall`` refuses, it reports why in one line and changes no file."""

import sys
from pathlib import Path

import pytest

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


def test_an_installation_that_uvx_removes_again_is_not_installed(cursor: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host would have no server after uv cleans its cache."""
    temporary = cursor.folder / "uv/archive-v0/Xy/bin/python"
    temporary.parent.mkdir(parents=True)
    temporary.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(temporary))
    assert "uv tool install" in refused(cursor)
