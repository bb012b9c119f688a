"""Reads a host's configuration file, and replaces it atomically with a backup."""

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
    """Another program changed the file since it was read."""


def read(path: Path) -> bytes | None:
    """Read the file.

    Args:
        path: The file, or a link to it.

    Returns:
        Its bytes, or None if there is no file.

    Raises:
        OSError: It can't be read, is not a regular file, or is larger than ``MAX_BYTES``.
    """
    try:
        # Check before opening: opening a named pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_BYTES:
        raise OSError(f"{path} is larger than {MAX_BYTES} bytes, too large for a configuration")
    return content


def replace(
    path: Path, before: bytes | None, after: bytes | None, *, mode: int = 0o600, keep_backup: bool = False
) -> Path | None:
    """Replace the file's content atomically: a reader sees the old or the new content, never a part.

    A symbolic link stays, and its target is replaced, or created if it is missing. The file keeps its mode, and its
    owner if the system permits it. The old content is kept in a backup beside the file, which replaces an earlier
    backup and is readable only for its owner.

    Args:
        path: The file, or a link to it.
        before: The content that was read, or None if there was no file.
        after: The new content, or None to delete the file.
        mode: The mode of a new file.
        keep_backup: Keep the earlier backup, and create none.

    Returns:
        The path of the backup, or None if none was created.

    Raises:
        ConfigChanged: The content is not ``before`` any more; the file is not changed.
        OSError: The file can't be written; it is not changed.
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
    """Write a file that only its owner can read, and its folder if it is missing; no backup is kept.

    Raises:
        OSError: It can't be written; the earlier content stays.
    """
    _make_folders(path.parent)
    path.parent.chmod(0o700)
    with _new_file(path, content, 0o600) as new:
        new.replace(path)
    _sync_folder(path.parent)


def backup_path(path: Path) -> Path:
    """Return the path of the backup that ``replace`` writes."""
    target = path.resolve()
    return target.with_name(target.name + BACKUP_SUFFIX)


def _require_unchanged(path: Path, before: bytes | None) -> None:
    if read(path) != before:
        raise ConfigChanged(f"{path} was changed in the meantime; nothing was written")


def _make_folders(folder: Path) -> None:
    """Create the missing folders, all of them private: ``Path.mkdir`` applies the mode only to the last one."""
    missing = list(takewhile(lambda parent: not parent.exists(), [folder, *folder.parents]))
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _new_file(target: Path, content: bytes, mode: int, owner: os.stat_result | None = None) -> Iterator[Path]:
    """Write a file beside the target, to replace it. Only its owner can read it; it is deleted if it is not used."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # Set the owner first: a change of owner clears bits of the mode. Windows has neither.
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
    """Write the folder's entries to disk, so that they survive a power failure, if the system can."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
