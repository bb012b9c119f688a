"""The token file: it holds the digests of API tokens; how it is read and changed.

The file is JSON for people to read::

    {"tokens": [{"name": "ci", "sha256": "...", "main": true, "sub_organizations": [], "created": "..."}]}

It is read whole or not at all: where anything in it is odd, nobody is let in rather than somebody too many.
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
"""A token, for whoever looks for one or hides it: a prefix that secret scanners find, and 256 random bits."""

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The name of a token; ``token:NAME`` is the caller in limits and audit."""

LOCK_TIMEOUT_SECONDS = 10.0
"""How long a change waits for another one."""

_MAX_FILE_BYTES = 1_048_576  # some thousand tokens
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_POSIX = os.name == "posix"


class TokenFileError(Exception):
    """The token file can't be read or changed; one line that says what to do, without a token or a digest."""


def _check_organization(organization: str) -> str:
    if not SUB_ORGANIZATION_ID.fullmatch(organization) or organization == WILDCARD or organization.lower() == MAIN:
        raise ValueError("is not an id")
    return organization


def _pattern(pattern: re.Pattern[str]) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError("does not match")
        return text

    return AfterValidator(check)


def _time(text: str) -> str:
    datetime.strptime(text, _TIME)
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenRecord(_Strict):
    """One token as the file has it: its digest, and what it may see."""

    name: Annotated[str, _pattern(NAME_PATTERN)] = Field(description="1 to 64 of A-Z a-z 0-9 . _ -")
    sha256: Annotated[str, _pattern(_DIGEST)] = Field(repr=False, description="64 lower case hex digits")
    main: bool = Field(description="true or false")
    sub_organizations: list[Annotated[str, AfterValidator(_check_organization)]] | Literal["*"] = Field(
        description='a list of ids of sub-organizations, or "*" for all'
    )
    created: Annotated[str, AfterValidator(_time)] = Field(description="a time such as 2026-01-31T12:00:00Z")

    @property
    def organizations(self) -> AllowedOrganizations:
        """What the token may see."""
        ids = self.sub_organizations
        return AllowedOrganizations(self.main, None if ids == WILDCARD else frozenset(ids))


class _TokenFile(_Strict):
    tokens: list[TokenRecord]


def default_path() -> Path:
    """Return where the token file is unless ``CALLERS_HTTP_TOKEN_FILE`` says otherwise."""
    import platformdirs

    return platformdirs.user_config_path("callers-mcp", appauthor=False) / "tokens.json"


def read(path: Path) -> tuple[TokenRecord, ...]:
    """Read the token file.

    Raises:
        TokenFileError: There is none, others may change or read it, or anything in it is not as it should be.
    """
    return read_with_status(path)[0]


def add(path: Path, name: str, organizations: AllowedOrganizations) -> str:
    """Add a token to the file, which is created where there is none, and return the token: it is stored nowhere.

    Raises:
        TokenFileError: The name is taken or is none, or the file can't be read or written.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise TokenFileError(f"A token's name takes {TokenRecord.model_fields['name'].description}.")
    token = f"callers_mcp_{secrets.token_hex(32)}"
    ids = WILDCARD if organizations.sub_organizations is None else sorted(organizations.sub_organizations)
    added = TokenRecord.model_validate(
        {
            "name": name,
            "sha256": token_digest(token).hex(),
            "main": organizations.main,
            "sub_organizations": ids,
            "created": datetime.now(UTC).strftime(_TIME),
        }
    )

    def change(records: tuple[TokenRecord, ...]) -> tuple[TokenRecord, ...]:
        if any(record.name == name for record in records):
            raise TokenFileError(
                f"{quoted_path(path)} has a token {name} already: take another name, or first `callers-mcp token "
                f"revoke {name}`."
            )
        return (*records, added)

    _change(path, change, create=True)
    return token


def revoke(path: Path, name: str) -> None:
    """Take a token out of the file.

    Raises:
        TokenFileError: There is no token of that name, or the file can't be read or written.
    """

    def change(records: tuple[TokenRecord, ...]) -> tuple[TokenRecord, ...]:
        remaining = tuple(record for record in records if record.name != name)
        if remaining == records:
            from difflib import get_close_matches

            similar = get_close_matches(name, [record.name for record in records], 1)
            raise TokenFileError(
                f"{quoted_path(path)} has no token of that name"
                + (f"; did you mean {similar[0]}?" if similar else "; `callers-mcp token list` shows which there are.")
            )
        return remaining

    _change(path, change, create=False)


def token_digest(token: str) -> bytes:
    """Return the digest under which the file has a token."""
    return hashlib.sha256(token.encode()).digest()


def quoted_path(path: Path) -> str:
    """Write a path so that it is one line, and one word of a command."""
    return shlex.quote(sanitize(str(path)))


def unreadable_message(path: Path, error: OSError) -> str:
    """Say why the file can't be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"There is no token file {quoted_path(path)}; `callers-mcp token add NAME ...` creates it."
    return f"The token file {quoted_path(path)} can't be read ({error.strerror}); mend the path or its permissions."


def read_with_status(path: Path) -> tuple[tuple[TokenRecord, ...], os.stat_result]:
    """Read and check the file; return what it grants, and the state of the file that was read."""
    try:
        with open(path, "rb", opener=_open_at_once) as opened:
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


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe that nobody writes to must not hold us up


def _check_status(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TokenFileError(f"The token file {quoted_path(path)} is not a regular file; mend the path.")
    if _POSIX and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
        mode = "640" if status.st_mode & stat.S_IRGRP else "600"
        raise TokenFileError(
            f"Others may read or change the token file; mend that with: chmod {mode} {quoted_path(path)}"
        )


def _parse(path: Path, content: bytes) -> tuple[TokenRecord, ...]:
    def unusable(why: str) -> TokenFileError:
        return TokenFileError(
            f"The token file {quoted_path(path)} can't be used: {why}. Mend or remove that in the file."
        )

    try:
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_reject_duplicates)
        records = tuple(_TokenFile.model_validate(document).tokens)
    except ValidationError as error:
        raise unusable(_validation_problem(document, error.errors()[0])) from None
    except _DuplicateField:
        raise unusable("a field stands twice in one object") from None
    except (ValueError, RecursionError):
        raise unusable("it is not JSON") from None
    for field in ("name", "sha256"):
        first: dict[str, int] = {}
        for at, record in enumerate(records):
            if (earlier := first.setdefault(getattr(record, field), at)) != at:
                raise unusable(
                    f"{_entry_name(document, earlier)} and {_entry_name(document, at)} have the same {field}"
                )
    return records


class _DuplicateField(ValueError):
    """Two fields of one name, of which readers of JSON would each take another."""


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _DuplicateField
    return fields


def _entry_name(document: Any, at: int) -> str:
    """Say which entry; by its name too, unless what stands there could be a digest in the wrong place."""
    entry = document["tokens"][at]
    name = entry.get("name") if isinstance(entry, dict) else None
    named = isinstance(name, str) and len(name) < 64 and NAME_PATTERN.fullmatch(name)
    return f"entry {at + 1} ({name})" if named else f"entry {at + 1}"


def _validation_problem(document: Any, details: Any) -> str:
    match details["loc"]:
        case ("tokens", int(at), str(field), *_):
            entry = _entry_name(document, at)
            if field not in TokenRecord.model_fields:
                return f"{entry} has a field that is none of {', '.join(TokenRecord.model_fields)}"
            takes = TokenRecord.model_fields[field].description
            if details["type"] == "missing":
                return f"{entry} has no {field}, which takes {takes}"
            return f"{field} of {entry} takes {takes}"
        case ("tokens", int(at)):
            return f"{_entry_name(document, at)} is not an object"
    return 'it is not an object with "tokens", a list, alone'


def _change(path: Path, change: Callable[[tuple[TokenRecord, ...]], tuple[TokenRecord, ...]], *, create: bool) -> None:
    """Replace what the file grants, with nobody else changing it meanwhile."""
    import filelock

    file = Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
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
            # Whoever prepares a file, for its owner and mode, leaves it empty.
            _write(file, change(read(file) if old_status and old_status.st_size else ()), old_status)
    except filelock.Timeout:
        raise TokenFileError(f"{quoted_path(path)} is being changed by another process; try again.") from None
    except OSError as error:
        raise TokenFileError(
            f"The token file {quoted_path(path)} can't be changed ({error.strerror}); nothing was changed."
        ) from None


def _make_folder(folder: Path) -> None:
    """Make the folder, and those that lead to it, for this user alone."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def _write(file: Path, records: tuple[TokenRecord, ...], old_status: os.stat_result | None) -> None:
    """Put a new file into the place of the old one in one step; of the old one, keep owner, group and mode."""
    content = _TokenFile(tokens=list(records)).model_dump_json(indent=2).encode() + b"\n"
    if len(content) > _MAX_FILE_BYTES:
        raise TokenFileError(f"The token file {quoted_path(file)} is full; revoke tokens that nobody needs.")
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # for this user alone
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
    with suppress(OSError):  # where a folder can't be opened, as on Windows
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
        except PermissionError:  # the server could perhaps not read it then
            raise TokenFileError(
                f"{quoted_path(file)} belongs to another user or group; change it as its owner, or as root."
            ) from None
