"""Authentication by API token; changes of the token file take effect without a restart."""

import errno
import logging
import time
from contextlib import suppress
from pathlib import Path

from callers_mcp import files
from callers_mcp.access import Principal
from callers_mcp.http.auth.token_store import TOKEN_PATTERN, TokenFileError, read_with_status, token_digest

RECHECK_SECONDS = 1.0
"""How often a server checks whether the file has changed."""

logger = logging.getLogger(__name__)


class TokenAuthenticator:
    """Finds the principal of a token in the token file.

    If the file disappears or becomes invalid, no token is accepted until it is fixed.

    Args:
        path: The token file.

    Raises:
        TokenFileError: The file can't be read at the start; the server must not start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._principals: dict[bytes, Principal] = {}
        self._version: tuple[int, ...] | None = None
        self._problem: str | None = None
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        self._load()

    def authenticate(self, token: str) -> Principal | None:
        """Return the principal of ``token``; ``None`` if the token is unknown."""
        self._check_again()
        return self._principals.get(token_digest(token)) if TOKEN_PATTERN.fullmatch(token) else None

    @property
    def problem(self) -> str | None:
        """Why no token is accepted, in one line; ``None`` if the file is valid."""
        self._check_again()
        return self._problem

    def _check_again(self) -> None:
        if time.monotonic() < self._recheck_at:
            return
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        before = self._principals
        # After a problem, always read again: the cause may be in any folder of the path.
        with suppress(OSError):
            if self._version is not None and files.version(self._path.stat()) == self._version:
                return
        try:
            self._load()
        except TokenFileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EMFILE, errno.ENFILE):
                logger.warning("The tokens from before are still accepted: %s", error)  # the file may be valid
                return
            self._principals, self._version = {}, None
            if str(error) != self._problem:
                self._problem = str(error)
                logger.error("No token is accepted: %s", error)
            return
        if self._problem is not None:
            self._problem = None
            logger.warning("The token file is valid again; it has %d tokens.", len(self._principals))
        elif self._principals != before:
            logger.info("The token file has changed; it has %d tokens now.", len(self._principals))

    def _load(self) -> None:
        records, status = read_with_status(self._path)
        self._principals = {
            bytes.fromhex(record.sha256): Principal(f"token:{record.name}", record.organizations) for record in records
        }
        self._version = files.version(status)
