"""Authentication by API token, with the token file as it is now."""

import logging
import os
import time
from pathlib import Path

from callers_mcp.access import Principal
from callers_mcp.http.auth.token_store import (
    TOKEN_PATTERN,
    TokenFileError,
    TokenRecord,
    read_with_status,
    token_digest,
    unreadable_message,
)

RECHECK_SECONDS = 1.0
"""How long a server goes on with what it knows of the file."""

SETTLED_SECONDS = 2.0
"""The age from which on a file's times tell a change apart: no file system's clock is coarser."""

logger = logging.getLogger(__name__)


class TokenAuthenticator:
    """Knows whose a token is, by the token file as it is now.

    Where the file vanishes or breaks, nobody is let in until it is mended.

    Args:
        path: The token file.

    Raises:
        TokenFileError: It can't be read now: a server must not start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._principals: dict[bytes, Principal] = {}
        self._records: tuple[TokenRecord, ...] = ()
        self._version: tuple[int, ...] | None = None
        self._problem: str | None = None
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        self._load()

    def authenticate(self, token: str) -> Principal | None:
        """Return whose ``token`` is; ``None`` where it is nobody's."""
        if time.monotonic() >= self._recheck_at:
            self._check_again()
        return self._principals.get(token_digest(token)) if TOKEN_PATTERN.fullmatch(token) else None

    @property
    def problem(self) -> str | None:
        """Why nobody is let in, in a line; ``None`` where all is well."""
        if time.monotonic() >= self._recheck_at:
            self._check_again()
        return self._problem

    def _check_again(self) -> None:
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        before = self._records
        try:
            # One read with a problem is read again each time: its cause may be anywhere on the way to it.
            if self._version is not None and _version(self._path.stat()) == self._version:
                return
            self._load()
        except (OSError, TokenFileError) as error:
            self._principals, self._version = {}, None
            problem = str(error) if isinstance(error, TokenFileError) else unreadable_message(self._path, error)
            if problem != self._problem:
                self._problem = problem
                logger.error("Nobody is let in by token: %s", problem)
            return
        if self._problem is not None:
            self._problem = None
            logger.warning("The token file is good again; it has %d tokens.", len(self._records))
        elif self._records != before:
            logger.info("The token file has changed; it has %d tokens now.", len(self._records))

    def _load(self) -> None:
        self._records, status = read_with_status(self._path)
        self._principals = {
            bytes.fromhex(record.sha256): Principal(f"token:{record.name}", record.organizations)
            for record in self._records
        }
        # One that changed just now may change again within the same tick of its clock: it is read once more.
        age = min(abs(time.time() - changed) for changed in (status.st_mtime, status.st_ctime))
        self._version = _version(status) if age > SETTLED_SECONDS else None


def _version(status: os.stat_result) -> tuple[int, ...]:
    """Tell two states of a file apart; by its change time too: it tells of modes, and no one can set it back."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
