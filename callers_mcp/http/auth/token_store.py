"""The token file, which contains the digests of API tokens: read it and change it.

The file is readable JSON::

    {"tokens": [{"name": "ci", "sha256": "...", "main": true, "sub_organizations": [], "created": "..."}]}

If any part of the file is invalid, the whole file is refused, and no token is accepted.
"""

import hashlib
import json
import os
import re
import secrets
import shlex
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from callers_mcp.access import WILDCARD, AllowedOrganizations
from callers_mcp.sanitize import sanitize
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID

TOKEN_PATTERN = re.compile(r"callers_mcp_[0-9a-f]{64}")
"""A token: a prefix that secret scanners can find, and 256 random bits."""

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The name of a token; ``token:NAME`` is the principal in rate limits and the audit log."""

LOCK_TIMEOUT_SECONDS = 10.0
"""How long a change waits for another process that changes the file."""

_MAX_FILE_BYTES = 1_048_576  # several thousand tokens
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_POSIX = os.name == "posix"


class TokenFileError(Exception):
    """The token file can't be read or changed; one line that says what to do, without a token or a digest."""


def _check_organization(organization: str) -> str:
    if not SUB_ORGANIZATION_ID.fullmatch(organization) or organization == WILDCARD or organization.lower() == MAIN:
        raise ValueError("is not an id")
    return organization


def _full_match(pattern: re.Pattern[str]) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError("does not match")
        return text

    return AfterValidator(check)


def _check_time(text: str) -> str:
    datetime.strptime(text, _TIME_FORMAT)
    return text


class _StrictModel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenRecord(_StrictModel):
    """One token in the file: its digest, and the organizations it gives access to."""

    name: Annotated[str, _full_match(NAME_PATTERN)] = Field(description="1 to 64 characters from A-Z a-z 0-9 . _ -")
    sha256: Annotated[str, _full_match(_DIGEST)] = Field(repr=False, description="64 lowercase hexadecimal digits")
    main: bool = Field(description="true or false")
    sub_organizations: list[Annotated[str, AfterValidator(_check_organization)]] | Literal["*"] = Field(
        description='a list of sub-organization ids, or "*" for all'
    )
    created: Annotated[str, AfterValidator(_check_time)] = Field(description="a time such as 2026-01-31T12:00:00Z")

    @property
    def organizations(self) -> AllowedOrganizations:
        """The organizations that the token gives access to."""
        ids = self.sub_organizations
        return AllowedOrganizations(self.main, None if ids == WILDCARD else frozenset(ids))


class _TokenFile(_StrictModel):
    tokens: list[TokenRecord]


def default_path() -> Path:
    """Return the path of the token file if ``CALLERS_HTTP_TOKEN_FILE`` is not set."""
    import platformdirs

    return platformdirs.user_config_path("callers-mcp", appauthor=False) / "tokens.json"


def read(path: Path) -> tuple[TokenRecord, ...]:
    """Read the token file.

    Raises:
        TokenFileError: There is no file, other users may read or change it, or any part of it is invalid.
    """
    return read_with_status(path)[0]


def add(path: Path, name: str, organizations: AllowedOrganizations) -> str:
    """Add a token to the file, and return it; the token itself is not stored. Create the file if there is none.

    Raises:
        TokenFileError: The name is in use or invalid, or the file can't be read or written.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise TokenFileError(f"A token's name must be {TokenRecord.model_fields['name'].description}.")
    token = f"callers_mcp_{secrets.token_hex(32)}"
    ids = WILDCARD if organizations.sub_organizations is None else sorted(organizations.sub_organizations)
    added = TokenRecord.model_validate(
        {
            "name": name,
            "sha256": token_digest(token).hex(),
            "main": organizations.main,
            "sub_organizations": ids,
            "created": datetime.now(UTC).strftime(_TIME_FORMAT),
        }
    )

    def change(records: tuple[TokenRecord, ...]) -> tuple[TokenRecord, ...]:
        if any(record.name == name for record in records):
            raise TokenFileError(
                f"{quoted_path(path)} already has a token {name}: use another name, or first run `callers-mcp token "
                f"revoke {name}`."
            )
        return (*records, added)

    _change(path, change, create=True)
    return token


def revoke(path: Path, name: str) -> None:
    """Remove a token from the file.

    Raises:
        TokenFileError: There is no token with this name, or the file can't be read or written.
    """

    def change(records: tuple[TokenRecord, ...]) -> tuple[TokenRecord, ...]:
        remaining = tuple(record for record in records if record.name != name)
        if remaining == records:
            from difflib import get_close_matches

            similar = get_close_matches(name, [record.name for record in records], 1)
            raise TokenFileError(
                f"{quoted_path(path)} has no token with this name"
                + (f"; did you mean {similar[0]}?" if similar else "; `callers-mcp token list` shows all tokens.")
            )
        return remaining

    _change(path, change, create=False)


def token_digest(token: str) -> bytes:
    """Return the digest of a token, as in the file."""
    return hashlib.sha256(token.encode()).digest()


def quoted_path(path: Path) -> str:
    """Return a path on one line, quoted for a shell command."""
    return shlex.quote(sanitize(str(path)))


def unreadable_message(path: Path, error: OSError) -> str:
    """Return why the file can't be read, and how to fix it."""
    if isinstance(error, FileNotFoundError):
        return f"There is no token file {quoted_path(path)}; `callers-mcp token add NAME ...` creates it."
    return f"The token file {quoted_path(path)} can't be read ({error.strerror}); fix the path or its permissions."


def read_with_status(path: Path) -> tuple[tuple[TokenRecord, ...], os.stat_result]:
    """Read and check the file; return its tokens, and the status of the file when it was read."""
    try:
        with open(path, "rb", opener=_open_without_blocking) as opened:
            status = os.fstat(opened.fileno())
            _check_status(path, status)
            content = opened.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TokenFileError(unreadable_message(path, error)) from None
    if len(content) > _MAX_FILE_BYTES:
        raise TokenFileError(
            f"The token file {quoted_path(path)} has more than {_MAX_FILE_BYTES} bytes; is it another file?"
        )
    return _parse(path, content), status


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe without a writer must not block


def _check_status(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TokenFileError(f"The token file {quoted_path(path)} is not a regular file; fix the path.")
    if _POSIX and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
        mode = "640" if status.st_mode & stat.S_IRGRP else "600"
        raise TokenFileError(
            f"Other users may read or change the token file; fix it with: chmod {mode} {quoted_path(path)}"
        )


def _parse(path: Path, content: bytes) -> tuple[TokenRecord, ...]:
    def invalid(why: str) -> TokenFileError:
        return TokenFileError(
            f"The token file {quoted_path(path)} can't be used: {why}. Fix or remove that part of the file."
        )

    try:
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_reject_duplicates)
        records = tuple(_TokenFile.model_validate(document).tokens)
    except ValidationError as error:
        raise invalid(_validation_problem(document, error.errors()[0])) from None
    except _DuplicateField:
        raise invalid("an object has a field twice") from None
    except (ValueError, RecursionError):
        raise invalid("it is not JSON") from None
    for field in ("name", "sha256"):
        first: dict[str, int] = {}
        for index, record in enumerate(records):
            if (earlier := first.setdefault(getattr(record, field), index)) != index:
                raise invalid(
                    f"{_entry_name(document, earlier)} and {_entry_name(document, index)} have the same {field}"
                )
    return records


class _DuplicateField(ValueError):
    """An object has two fields with the same name; JSON readers differ in which one they use."""


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _DuplicateField
    return fields


def _entry_name(document: Any, index: int) -> str:
    """Return the number of an entry, and its name unless that could be a digest in the wrong field."""
    entry = document["tokens"][index]
    name = entry.get("name") if isinstance(entry, dict) else None
    is_safe = isinstance(name, str) and len(name) < 64 and NAME_PATTERN.fullmatch(name)
    return f"entry {index + 1} ({name})" if is_safe else f"entry {index + 1}"


def _validation_problem(document: Any, details: Any) -> str:
    match details["loc"]:
        case ("tokens", int(index), str(field), *_):
            entry = _entry_name(document, index)
            if field not in TokenRecord.model_fields:
                return f"{entry} has an unknown field; the fields are {', '.join(TokenRecord.model_fields)}"
            expected = TokenRecord.model_fields[field].description
            if details["type"] == "missing":
                return f"{entry} has no {field}; it must be {expected}"
            return f"{field} of {entry} must be {expected}"
        case ("tokens", int(index)):
            return f"{_entry_name(document, index)} is not an object"
    return 'it must be an object with only "tokens", a list'


def _change(path: Path, change: Callable[[tuple[TokenRecord, ...]], tuple[TokenRecord, ...]], *, create: bool) -> None:
    """Replace the tokens in the file, under a lock."""
    import filelock

    file = Path(os.path.realpath(path))  # replaces the target of a symbolic link, not the link
    if not create:
        read(file)
    try:
        _make_folder(file.parent)
        with filelock.FileLock(f"{file}.lock", timeout=LOCK_TIMEOUT_SECONDS, mode=0o600):
            try:
                old_status = file.stat()
                _check_status(file, old_status)
            except FileNotFoundError:
                old_status = None
            # An administrator may prepare an empty file, for its owner and mode.
            _write(file, change(read(file) if old_status and old_status.st_size else ()), old_status)
    except filelock.Timeout:
        raise TokenFileError(f"{quoted_path(path)} is being changed by another process; try again.") from None
    except OSError as error:
        raise TokenFileError(
            f"The token file {quoted_path(path)} can't be changed ({error.strerror}); nothing was changed."
        ) from None


def _make_folder(folder: Path) -> None:
    """Make the folder and its missing parents, for this user only."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def _write(file: Path, records: tuple[TokenRecord, ...], old_status: os.stat_result | None) -> None:
    """Replace the file in one step; keep the owner, group and mode of the old file."""
    content = _TokenFile(tokens=list(records)).model_dump_json(indent=2).encode() + b"\n"
    if len(content) > _MAX_FILE_BYTES:
        raise TokenFileError(f"The token file {quoted_path(file)} is full; revoke tokens that are not needed.")
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # for this user only
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            if old_status is not None and _POSIX:
                _keep_owner(file, descriptor, old_status)
                os.fchmod(descriptor, stat.S_IMODE(old_status.st_mode))
            os.fsync(descriptor)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with suppress(OSError):  # Windows can't open a folder
        descriptor = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _keep_owner(file: Path, descriptor: int, old_status: os.stat_result) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (old_status.st_uid, old_status.st_gid):
        try:
            os.fchown(descriptor, old_status.st_uid, old_status.st_gid)
        except PermissionError:  # with another owner, the server might not be able to read it
            raise TokenFileError(
                f"{quoted_path(file)} belongs to another user or group; change it as its owner, or as root."
            ) from None
