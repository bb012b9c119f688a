"""Messages name commands that work where they are printed: from a checkout, a wheel, a repository or an index."""

import json
import sys
from pathlib import Path

import pytest

from callers_mcp.install.entry import server_command
from callers_mcp.install.plan import quote_command
from tests.support.command_line import run
from tests.support.install_home import Home

REVISION = "0123456789abcdef0123456789abcdef01234567"


def install_from(folder: Path, origin: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python find an installation of the package from ``origin`` first, as installers record it."""
    (metadata := folder / "callers_mcp-0.1.0.dist-info").mkdir()
    (metadata / "METADATA").write_text("Name: callers-mcp\n")
    if origin:
        (metadata / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="the paths are those of POSIX")
@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ({"url": "file:///a%20checkout", "dir_info": {}}, "'/a checkout'"),
        ({"url": "file:///dist/callers_mcp-0.1.0-py3-none-any.whl", "archive_info": {}}, "/dist/callers_mcp-0.1.0-py3"),
        (
            {"url": "https://git.example/callers-mcp.git", "vcs_info": {"vcs": "git", "commit_id": REVISION}},
            f"'callers-mcp @ git+https://git.example/callers-mcp.git@{REVISION}'",
        ),
        (None, "callers-mcp"),
    ],
    ids=["checkout", "wheel", "repository", "index"],
)
@pytest.mark.parametrize(
    ("prefix", "installer"),
    [
        ("/home/ana/.cache/uv/archive-v0/Xy_1", "uv tool install"),
        ("/home/ana/.cache/pipx/0a1b", "pipx install --force"),
    ],
)
def test_a_temporary_installation_names_the_command_that_installs_the_same_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, source: str, prefix: str, installer: str
) -> None:
    install_from(tmp_path, origin, monkeypatch)
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setenv("HOME", "/home/ana")
    home = Home(tmp_path / "home", "cursor")
    home.host_folder.mkdir(parents=True)
    code, _, errors = home.run("install", "--sandbox", HOME="/home/ana")
    assert code == 1
    assert f"Install the package permanently first: {installer} {source}" in errors


def test_in_its_folder_a_checkout_is_named_by_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout := tmp_path / "checkout").mkdir()
    install_from(tmp_path, {"url": checkout.as_uri(), "dir_info": {"editable": True}}, monkeypatch)
    monkeypatch.chdir(checkout)
    monkeypatch.setitem(sys.modules, "filelock", None)  # as without the extra
    code, _, errors = run("token", "list")
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.endswith("pip install '.[http]'\n")


def test_the_program_is_named_as_the_shell_finds_it(tmp_path: Path) -> None:
    command = server_command()
    for path, named in ((str(Path(command[0]).parent), "callers-mcp"), (str(tmp_path), quote_command(command))):
        out = run("install", environment={"HOME": str(tmp_path), "PATH": path})[1]
        assert f"For another host: {named} config other\n" in out
