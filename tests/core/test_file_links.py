"""A host's file is changed through links, and a private file is not."""

import sys
from pathlib import Path

import pytest

from callers_mcp.files import read, replace, write
from tests.support.config_file import NEW, OLD, names
from tests.support.install_home import mode

posix = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX modes and links")


@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "claude.json").write_bytes(OLD)
    (tmp_path / "second.json").symlink_to("dotfiles/claude.json")
    link = tmp_path / "config.json"
    link.symlink_to(tmp_path / "second.json")
    backup = replace(link, OLD, NEW)
    assert link.is_symlink()
    assert (tmp_path / "second.json").is_symlink()
    assert not (dotfiles / "claude.json").is_symlink()
    assert read(dotfiles / "claude.json") == read(link) == NEW
    assert backup == dotfiles.resolve() / "claude.json.callers-mcp-backup"
    assert names(tmp_path) == {"dotfiles", "second.json", "config.json"}


@posix
def test_the_missing_target_of_a_link_is_created(tmp_path: Path) -> None:
    link = tmp_path / "config.json"
    link.symlink_to("dotfiles/claude.json")
    assert read(link) is None
    replace(link, None, NEW)
    assert link.is_symlink()
    assert (tmp_path / "dotfiles" / "claude.json").read_bytes() == NEW


@posix
def test_deleting_through_a_link_deletes_its_target(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(OLD)
    link = tmp_path / "config.json"
    link.symlink_to("real.json")
    replace(link, OLD, None)
    assert link.is_symlink()
    assert names(tmp_path) == {"config.json", "real.json.callers-mcp-backup"}


def test_one_of_several_hard_links_is_not_cut_off_from_the_others(config: Path) -> None:
    other = config.with_name("dotfile.json")
    other.hardlink_to(config)
    with pytest.raises(OSError, match="other hard links"):
        replace(config, OLD, NEW)
    assert config.samefile(other)
    assert read(config) == OLD


@posix
@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_private_file_is_never_written_through_a_link(config: Path, link: str) -> None:
    """Another user may have made it."""
    path = config.with_name("private")
    getattr(path, link)(config)
    write(path, NEW, private=True)
    assert (read(config), read(path), path.is_symlink(), mode(path)) == (OLD, NEW, False, 0o600)


@posix
def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "config.json"
    link.symlink_to("config.json")
    with pytest.raises(OSError, match=r"config\.json"):
        replace(link, None, NEW)
    assert link.is_symlink()
