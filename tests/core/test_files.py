"""A file is never half written, changes by other programs are never lost, and a configuration has a backup."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callers_mcp.files import MAX_BYTES, ConfigChanged, read, remove, replace, write
from tests.support.config_file import NEW, OLD, names
from tests.support.install_home import mode

UNPRIVILEGED_USER = 65534
"""The id of a user without rights."""

posix = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX modes, pipes and links")


@pytest.fixture
def as_user() -> Iterator[Path]:
    """A folder of a user without root's rights. The test runs as that user, because root may write to any folder."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, UNPRIVILEGED_USER, -1)
            os.seteuid(UNPRIVILEGED_USER)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_read_returns_the_bytes_or_none_for_a_missing_file(config: Path) -> None:
    assert read(config) == OLD
    assert read(config.with_name("absent.json")) is None
    assert read(config.parent / "absent" / "absent.json") is None


def test_a_file_over_the_size_limit_is_refused(config: Path) -> None:
    config.write_bytes(b" " * MAX_BYTES)
    assert len(read(config) or b"") == MAX_BYTES
    config.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="more than"):
        read(config)


@posix
@pytest.mark.parametrize("name", [".", "pipe", "device"])
def test_anything_but_a_regular_file_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to(os.devnull)
    path = tmp_path / name
    for refused in (lambda: read(path), lambda: replace(path, None, NEW), lambda: write(path, NEW)):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            refused()
    assert names(tmp_path) == {"pipe", "device"}


def test_replace_keeps_the_earlier_content_in_a_backup(config: Path) -> None:
    backup = replace(config, OLD, NEW)
    assert backup == config.with_name("config.json.callers-mcp-backup")
    assert (read(config), read(backup)) == (NEW, OLD)
    assert names(config.parent) == {config.name, backup.name}


def test_only_the_last_backup_is_kept(config: Path) -> None:
    replace(config, OLD, NEW)
    backup = replace(config, NEW, b"{}")
    assert backup is not None
    assert read(backup) == NEW
    assert names(config.parent) == {config.name, backup.name}


def test_nothing_is_written_if_nothing_changes(config: Path) -> None:
    status = config.stat()
    assert replace(config, OLD, OLD) is None
    assert config.stat() == status
    assert names(config.parent) == {config.name}
    assert replace(config.with_name("absent.json"), None, None) is None
    assert names(config.parent) == {config.name}


def test_a_new_file_has_no_backup(tmp_path: Path) -> None:
    assert replace(tmp_path / "config.json", None, NEW) is None
    assert names(tmp_path) == {"config.json"}
    assert read(tmp_path / "config.json") == NEW


def test_a_deleted_file_has_a_backup(config: Path) -> None:
    backup = replace(config, OLD, None)
    assert backup is not None
    assert read(config) is None
    assert read(backup) == OLD


@posix
@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_a_new_file_and_its_new_folders_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "one" / "two" / "config.json"
    earlier = os.umask(umask)
    try:
        replace(path, None, NEW)
    finally:
        os.umask(earlier)
    assert mode(path) == 0o600
    assert mode(path.parent) == mode(path.parent.parent) == 0o700


@posix
@pytest.mark.parametrize("kept", [0o644, 0o640, 0o600, 0o400, 0o666])
def test_a_file_keeps_its_mode_and_its_backup_is_private(config: Path, kept: int) -> None:
    config.chmod(kept)
    backup = replace(config, OLD, NEW)
    assert backup is not None
    assert mode(config) == kept
    assert mode(backup) == 0o600


@posix
def test_an_earlier_backup_that_others_may_read_is_replaced_by_a_private_one(config: Path) -> None:
    backup = config.with_name("config.json.callers-mcp-backup")
    backup.write_bytes(b"older")
    backup.chmod(0o644)
    replace(config, OLD, NEW)
    assert mode(backup) == 0o600


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_keeps_its_owner(config: Path) -> None:
    os.chown(config, 1234, 2345)
    config.chmod(0o640)
    replace(config, OLD, NEW)
    status = config.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


@pytest.mark.parametrize("after", [NEW, None])
@pytest.mark.parametrize("now", [b'{"theirs": 3}', None])
def test_a_change_since_the_file_was_read_stays(config: Path, now: bytes | None, after: bytes | None) -> None:
    if now is None:
        config.unlink()
    else:
        config.write_bytes(now)
    with pytest.raises(ConfigChanged, match="was changed in the meantime"):
        replace(config, OLD, after)
    assert read(config) == now
    assert names(config.parent) == ({config.name} if now else set())


class ReadJustBefore(bytes):
    """The content that was read. The file changes right after the first comparison with it."""

    path: Path

    def __ne__(self, other: object) -> bool:
        differs = bytes.__ne__(self, other)
        self.path.write_bytes(b'{"theirs": 3}')
        return differs

    __hash__ = bytes.__hash__


@pytest.mark.parametrize("after", [NEW, None])
def test_a_change_while_the_new_file_is_written_stays(config: Path, after: bytes | None) -> None:
    before = ReadJustBefore(OLD)
    before.path = config
    with pytest.raises(ConfigChanged):
        replace(config, before, after)
    assert read(config) == b'{"theirs": 3}'
    assert names(config.parent) == {config.name, "config.json.callers-mcp-backup"}


def test_a_file_that_was_created_since_stays(config: Path) -> None:
    with pytest.raises(ConfigChanged):
        replace(config, None, NEW)
    assert read(config) == OLD


def test_the_file_stays_if_its_backup_cannot_be_written(config: Path) -> None:
    (config.parent / "config.json.callers-mcp-backup").mkdir()
    with pytest.raises(OSError, match="backup"):
        replace(config, OLD, NEW)
    assert read(config) == OLD
    assert names(config.parent) == {config.name, "config.json.callers-mcp-backup"}


def test_a_path_through_a_file_is_refused_and_leaves_nothing_behind(config: Path) -> None:
    with pytest.raises(OSError, match=r"config\.json"):
        replace(config / "config.json", None, NEW)
    assert names(config.parent) == {config.name}
    assert read(config) == OLD


@posix
def test_a_folder_without_write_permission_is_refused_and_not_changed(as_user: Path) -> None:
    config = as_user / "config.json"
    config.write_bytes(OLD)
    as_user.chmod(0o500)
    with pytest.raises(PermissionError):
        replace(config, OLD, NEW)
    assert read(config) == OLD
    assert names(as_user) == {config.name}


@posix
def test_a_full_disk_leaves_the_file_unchanged_and_no_part_of_a_new_one(config: Path) -> None:
    # A limit on the size of files makes a write fail halfway, like a full disk.
    script = (
        "import resource, signal, sys; from pathlib import Path; from callers_mcp.files import replace;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "replace(Path(sys.argv[1]), Path(sys.argv[1]).read_bytes(), b'x' * 100_000)"
    )
    result = subprocess.run([sys.executable, "-c", script, str(config)], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert "OSError" in result.stderr
    assert read(config) == OLD
    assert names(config.parent) <= {config.name, "config.json.callers-mcp-backup"}


@pytest.mark.slow
@posix
def test_a_reader_sees_the_old_or_the_new_file_but_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    contents = [bytes([digit]) * 300_000 for digit in b"01"]
    path.write_bytes(contents[0])
    seen: set[bytes | None] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(read(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for round_ in range(30):
            replace(path, contents[round_ % 2], contents[(round_ + 1) % 2])
    finally:
        done.set()
        watcher.join()
    assert seen <= set(contents)


def leftover(beside: Path, seconds: float, name: str | None = None) -> Path:
    """Return a temporary file as a killed writer of ``beside`` leaves it, last written some seconds ago."""
    path = beside.with_name(f".{name or beside.name}.a_0k2xyz.new")
    path.write_text("secret")
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize("name", ["config.json", "n" * 240], ids=["short", "long"])
def test_a_writer_removes_what_a_killed_one_left_an_hour_ago_but_nothing_newer(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    leftover(path, 3600, name[:40])
    others = {leftover(path, 3600, "other"), leftover(path, 1, name[:40] if len(name) < 40 else "n"), path}
    write(path, NEW)
    assert set(tmp_path.iterdir()) == others


def test_a_file_is_removed_with_every_temporary_file_of_it(config: Path) -> None:
    leftover(config, 0)
    others = {leftover(config, 3600, "other").name}
    remove(config)
    remove(config)
    assert names(config.parent) == others


def test_a_killed_writer_leaves_the_old_file(config: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from callers_mcp.files import write;"
        "write(Path(sys.argv[1]), b'new', before_replacing=lambda: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", script, str(config)], timeout=60).returncode == 9
    assert read(config) == OLD
    (left,) = names(config.parent) - {config.name}
    os.utime(config.with_name(left), (1, 1))
    write(config, NEW)
    assert names(config.parent) == {config.name}
