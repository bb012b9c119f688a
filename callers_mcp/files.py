"""Reads a file up to a limit, and replaces a file in one step: a reader sees the old or the new content, never a part.

A symbolic link stays, and its target is read or replaced; only a private file replaces the link. Only regular files are
read or replaced.
"""

import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
"""The default limit of a reader: larger than any host's configuration."""

SETTLED_SECONDS = 2.0
"""The age at which a file's times show each further change: every file system's clock is finer than this."""

BACKUP_SUFFIX = ".callers-mcp-backup"

_LEFTOVER_SECONDS = 60  # a temporary file that is older is not in use: its writer was killed


class ConfigChanged(OSError):
    """Another program changed the file since it was read."""


def read(path: Path, max_bytes: int = MAX_BYTES, check: Callable[[os.stat_result], None] | None = None) -> bytes | None:
    """Read a file; return None if there is none. Otherwise the same as ``read_with_status``."""
    try:
        return read_with_status(path, max_bytes, check)[0]
    except FileNotFoundError:
        return None


def read_with_status(
    path: Path, max_bytes: int, check: Callable[[os.stat_result], None] | None = None
) -> tuple[bytes, os.stat_result]:
    """Read a file; return its content, and its status when it was read.

    Args:
        path: The file, or a link to it.
        max_bytes: A larger file is refused.
        check: Raises an error if a file with this status must not be read, for example because of its mode.

    Raises:
        OSError: It can't be read, is not a regular file, or is too large.
    """
    with open(path, "rb", opener=_open_without_blocking) as file:
        status = os.fstat(file.fileno())
        _require_regular(path, status)
        if check:
            check(status)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes} bytes", str(path))
    return content, status


def version(status: os.stat_result) -> tuple[int, ...] | None:
    """Return what differs between two states of a file; None if it changed just now, and may again with the same times.

    The change time shows changed modes, and can't be set back.
    """
    age = min(abs(time.time() - changed) for changed in (status.st_mtime, status.st_ctime))
    state = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return state if age > SETTLED_SECONDS else None


def write(
    path: Path,
    content: bytes,
    *,
    private: bool = False,
    require_owner: bool = False,
    before_replacing: Callable[[], None] | None = None,
) -> None:
    """Write a file in one step, to disk. Its folder must exist.

    A new file has mode 600. An existing one keeps its owner, group and mode.

    Args:
        path: The file, or a link to it; a missing target of a link is created.
        content: The new content.
        private: Whether an existing file, too, gets mode 600, and this user as its owner. It replaces a link, which
            another user may have made, and one of several hard links.
        require_owner: Whether to fail if the owner and group can't be kept; otherwise they are this user's then.
        before_replacing: Called when the new file is complete; if it raises an error, the old file stays.

    Raises:
        OSError: The file can't be written, or has other hard links, which would keep the old content; nothing changes.
    """
    target = path if private else Path(os.path.realpath(path))
    try:
        old = target.stat()
        _require_regular(path, old)
        if old.st_nlink > 1 and not private:
            raise OSError(errno.EMLINK, "it has other hard links, which would not change; replace it with a copy")
    except FileNotFoundError:
        old = None
    remove_leftovers(target, _LEFTOVER_SECONDS)
    descriptor, name = tempfile.mkstemp(prefix=_temporary_prefix(target), suffix=".new", dir=target.parent)  # mode 600
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if old is not None and not private and hasattr(os, "fchown"):  # Windows has neither owners nor modes
                _copy_owner_and_mode(old, descriptor, require_owner=require_owner)
            os.fsync(descriptor)
        if before_replacing:
            before_replacing()
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    _sync_folder(target.parent)


def remove(path: Path) -> None:
    """Delete a file, if it exists, and the temporary files of its writers. Of a link, the target is deleted.

    Raises:
        OSError: It can't be deleted.
    """
    target = Path(os.path.realpath(path))
    remove_leftovers(target, 0)
    target.unlink(missing_ok=True)
    _sync_folder(target.parent)


def replace(path: Path, before: bytes | None, after: bytes | None, *, keep_backup: bool = False) -> Path | None:
    """Change a file that other programs change too, and keep the old content in a backup that only this user can read.

    Args:
        path: The file, or a link to it; a missing folder is created.
        before: The content that was read, or None if there was no file.
        after: The new content, or None to delete the file.
        keep_backup: Keep the earlier backup, and create none.

    Returns:
        The path of the backup, or None if none was created.

    Raises:
        ConfigChanged: The content is not ``before`` any more; the file is not changed.
        OSError: The file can't be written; it is not changed.
    """

    def require_unchanged() -> None:
        if read(path) != before:
            raise ConfigChanged(f"{path} was changed in the meantime; nothing was written")

    require_unchanged()
    if before == after:
        return None
    backup = None if before is None or keep_backup else backup_path(path)
    if backup is not None and before is not None:
        write(backup, before, private=True)
    if after is None:
        require_unchanged()
        remove(path)
    else:
        make_folder(Path(os.path.realpath(path)).parent)
        write(path, after, before_replacing=require_unchanged)
    return backup


def backup_path(path: Path) -> Path:
    """Return the path of the backup that ``replace`` writes."""
    return Path(os.path.realpath(path) + BACKUP_SUFFIX)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, all of them for this user only.

    Raises:
        OSError: It can't be created.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe without a writer must not block


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def _temporary_prefix(target: Path) -> str:
    return f".{target.name[:40]}."  # the whole name, with what is added, could be too long


def remove_leftovers(target: Path, min_age_seconds: float = 0) -> None:
    """Delete the temporary files of writers of ``target`` that were killed, if they are old enough."""
    temporary = re.compile(re.escape(_temporary_prefix(target)) + r"[a-z0-9_]{8}\.new")
    oldest = time.time() - min_age_seconds
    with suppress(OSError):
        for path in target.parent.iterdir():
            if temporary.fullmatch(path.name) and path.lstat().st_mtime <= oldest:
                path.unlink()


def _copy_owner_and_mode(old: os.stat_result, descriptor: int, *, require_owner: bool) -> None:
    try:
        os.fchown(descriptor, old.st_uid, old.st_gid)  # before the mode: a change of owner clears bits of the mode
    except PermissionError:
        if require_owner:
            why = "it belongs to another user or group; change it as its owner, or as root"
            raise PermissionError(errno.EPERM, why) from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to disk, so that they survive a power failure, if the system can."""
    with suppress(OSError):  # Windows can't open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
