"""A host's configuration file: read, compared and replaced in one step, with what was there kept beside it."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
BACKUP_SUFFIX = ".callers-mcp-backup"


class ConfigChanged(OSError):
    """The file is no longer what was read: somebody else wrote it."""


def read(path: Path) -> bytes | None:
    """Read the file.

    Args:
        path: The file, or a link to it.

    Returns:
        Its bytes, None where there is no file.

    Raises:
        OSError: It can't be read, is no regular file or is larger than any configuration.
    """
    try:
        # Looked at before it is opened: opening a pipe would wait for who writes to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path} is no regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_BYTES:
        raise OSError(f"{path} is larger than {MAX_BYTES} bytes, which is no configuration")
    return content


def replace(
    path: Path, before: bytes | None, after: bytes | None, *, mode: int = 0o600, keep_backup: bool = False
) -> Path | None:
    """Replace the file's content at once, so that nobody ever reads a part of it.

    A link stays and the file it points at is replaced, made where it is missing. The file keeps its mode, and its owner
    where the system lets it. What was there is kept beside the file for its owner alone, in place of an earlier backup.

    Args:
        path: The file, or a link to it.
        before: What was read from it, None where there was no file.
        after: What it is to be, None to delete it.
        mode: The mode of a file that was not there.
        keep_backup: Leave the earlier backup as it is, and make none.

    Returns:
        Where the backup is that was made.

    Raises:
        ConfigChanged: The file is not ``before`` any more; it is left as it is.
        OSError: The file can't be written; it is left as it is.
    """
    _require_unchanged(path, before)
    if before == after:
        return None
    target = path.resolve()
    backup = None if before is None or keep_backup else backup_path(path)
    if backup is not None and before is not None:
        with _new_file(backup, before, 0o600) as new:
            new.replace(backup)
    if after is None:
        _require_unchanged(target, before)
        target.unlink(missing_ok=True)
    else:
        _make_folders(target.parent)
        status = target.stat() if before is not None else None
        kept_mode = mode if status is None else stat.S_IMODE(status.st_mode)
        with _new_file(target, after, kept_mode, status) as new:
            _require_unchanged(target, before)
            new.replace(target)
    _sync_folder(target.parent)
    return backup


def write_privately(path: Path, content: bytes) -> None:
    """Write a file, and its folder where that is missing, for their owner alone; no backup is kept.

    Raises:
        OSError: It can't be written; what was there is left as it is.
    """
    _make_folders(path.parent)
    path.parent.chmod(0o700)
    with _new_file(path, content, 0o600) as new:
        new.replace(path)
    _sync_folder(path.parent)


def backup_path(path: Path) -> Path:
    """Return where ``replace`` keeps what was in the file."""
    target = path.resolve()
    return target.with_name(target.name + BACKUP_SUFFIX)


def _require_unchanged(path: Path, before: bytes | None) -> None:
    if read(path) != before:
        raise ConfigChanged(f"{path} was changed meanwhile; nothing was written")


def _make_folders(folder: Path) -> None:
    """Make the folders that are missing, each for its owner alone, which ``Path.mkdir`` does for the last one only."""
    missing = list(takewhile(lambda each: not each.exists(), [folder, *folder.parents]))
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _new_file(target: Path, content: bytes, mode: int, owner: os.stat_result | None = None) -> Iterator[Path]:
    """Write a file beside the target, to take its place; open to its owner alone until then, gone if it does not."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # The owner first: a change of owner takes bits from the mode. Windows has neither.
            if owner is not None and hasattr(os, "fchown"):
                with suppress(PermissionError):
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        yield new
    finally:
        new.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have the folder's new entries survive a power failure, where the system can write a folder out."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
