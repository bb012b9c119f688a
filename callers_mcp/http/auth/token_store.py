"""The token file, which contains the digests of API tokens: read it and change it.

The file is readable JSON::

    {"tokens": [{"name": "ci", "sha256": "...", "main": true, "sub_organizations": [], "created": "..."}]}

If any part of the file is invalid, the whole file is refused, and no token is accepted.
"""

import hashlib
import os
import re
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, ValidationError

from callers_mcp import files
from callers_mcp.access import WILDCARD, AllowedOrganizations
from callers_mcp.http.auth import unique_json
from callers_mcp.sanitize import sanitize
from callers_mcp.settings import MAIN, parse_organization

TOKEN_PATTERN = re.compile(r"callers_mcp_[0-9a-f]{64}")
"""A token: a prefix that secret scanners can find, and 256 random bits."""

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The name of a token; ``token:NAME`` is the principal in rate limits and the audit log."""

LOCK_TIMEOUT_SECONDS = 10.0
"""How long a change waits for another process that changes the file."""

_MAX_FILE_BYTES = 1_048_576  # several thousand tokens
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class TokenFileError(Exception):
    """The token file can't be read or changed; one line that says what to do, without a token or a digest."""


def _check_organization(organization: str) -> str:
    if organization == WILDCARD or parse_organization(organization) == MAIN:
        raise ValueError("is not an id")
    return organization


def _check_time(text: str) -> str:
    datetime.strptime(text, _TIME_FORMAT)
    return text


class _StrictModel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenRecord(_StrictModel):
    """One token in the file: its digest, and the organizations it gives access to."""

    name: str = Field(pattern=f"^{NAME_PATTERN.pattern}$", description="1 to 64 characters from A-Z a-z 0-9 . _ -")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False, description="64 lowercase hexadecimal digits")
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
    tokens: Annotated[list[TokenRecord], FailFast()]


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
    ids = organizations.sub_organizations
    added = TokenRecord(
        name=name,
        sha256=token_digest(token).hex(),
        main=organizations.main,
        sub_organizations="*" if ids is None else sorted(ids),
        created=datetime.now(UTC).strftime(_TIME_FORMAT),
    )
    with _changed(path, create=True) as records:
        if any(record.name == name for record in records):
            raise TokenFileError(
                f"{quoted_path(path)} already has a token {name}: use another name, or first run `callers-mcp token "
                f"revoke {name}`."
            )
        records.append(added)
    return token


def revoke(path: Path, name: str) -> None:
    """Remove a token from the file.

    Raises:
        TokenFileError: There is no token with this name, or the file can't be read or written.
    """
    with _changed(path, create=False) as records:
        names = [record.name for record in records]
        if name not in names:
            from difflib import get_close_matches

            similar = get_close_matches(name, names, 1)
            raise TokenFileError(
                f"{quoted_path(path)} has no token with this name"
                + (f"; did you mean {similar[0]}?" if similar else "; `callers-mcp token list` shows all tokens.")
            )
        del records[names.index(name)]


def token_digest(token: str) -> bytes:
    """Return the digest of a token, as in the file."""
    return hashlib.sha256(token.encode()).digest()


def quoted_path(path: Path) -> str:
    """Return a path on one line, quoted for a shell command."""
    return shlex.quote(sanitize(str(path)))


def read_with_status(path: Path) -> tuple[tuple[TokenRecord, ...], os.stat_result]:
    """Read and check the file; return its tokens, and the status of the file when it was read."""
    try:
        content, status = files.read_with_status(path, _MAX_FILE_BYTES, partial(_check_mode, path))
    except FileNotFoundError:
        raise TokenFileError(
            f"There is no token file {quoted_path(path)}; `callers-mcp token add NAME ...` creates it."
        ) from None
    except OSError as error:
        raise TokenFileError(
            f"The token file {quoted_path(path)} can't be read ({error.strerror}); fix the path or its permissions."
        ) from error
    return tuple(_parse(path, content)), status


def _check_mode(path: Path, status: os.stat_result) -> None:
    if os.name == "posix" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
        mode = "640" if status.st_mode & stat.S_IRGRP else "600"
        raise TokenFileError(
            f"Other users may read or change the token file; fix it with: chmod {mode} {quoted_path(path)}"
        )


def _parse(path: Path, content: bytes) -> list[TokenRecord]:
    def invalid(why: str) -> TokenFileError:
        return TokenFileError(
            f"The token file {quoted_path(path)} can't be used: {why}. Fix or remove that part of the file."
        )

    if not content.strip():
        raise TokenFileError(
            f"The token file {quoted_path(path)} is empty; `callers-mcp token add NAME ...` adds a token."
        )
    try:
        records = _TokenFile.model_validate(unique_json.parse(content.decode("utf-8-sig"))).tokens
    except ValidationError as error:
        raise invalid(_problem(error.errors()[0]["loc"])) from None
    except unique_json.DuplicateField:
        raise invalid("an object has a field twice") from None
    except ValueError:
        raise invalid("it is not JSON") from None
    for field in ("name", "sha256"):
        first: dict[str, int] = {}
        for index, record in enumerate(records):
            if (earlier := first.setdefault(getattr(record, field), index)) != index:
                raise invalid(f"entries {earlier + 1} and {index + 1} have the same {field}")
    return records


def _problem(location: tuple[int | str, ...]) -> str:
    """Return what must be at a place in the file. It quotes nothing of the file, which may have a token anywhere."""
    fields = TokenRecord.model_fields
    match location:
        case ("tokens", int(index), str(field), *_) if field in fields:
            return f"{field} of entry {index + 1} must be {fields[field].description}"
        case ("tokens", int(index), *_):
            return f"entry {index + 1} must be an object with only the fields {', '.join(fields)}"
    return 'it must be an object with only "tokens", a list'


@contextmanager
def _changed(path: Path, *, create: bool) -> Iterator[list[TokenRecord]]:
    """Yield a list of the tokens in the file, and write what the caller made of it; all that under a lock."""
    import filelock

    file = Path(os.path.realpath(path))  # the lock is beside the target of a link
    if not create:
        read(file)
    try:
        files.make_folder(file.parent)
        with filelock.FileLock(f"{file}.lock", timeout=LOCK_TIMEOUT_SECONDS, mode=0o600):
            # An administrator may prepare an empty file, for its owner and mode.
            content = files.read(file, _MAX_FILE_BYTES, partial(_check_mode, file)) or b""
            records = _parse(file, content) if content.strip() else []
            yield records
            changed = _TokenFile(tokens=records).model_dump_json(indent=2).encode() + b"\n"
            if len(changed) > _MAX_FILE_BYTES:
                raise TokenFileError(f"The token file {quoted_path(file)} is full; revoke tokens that are not needed.")
            # With another owner, the server might not be able to read it.
            files.write(file, changed, require_owner=True)
    except filelock.Timeout:
        raise TokenFileError(f"{quoted_path(path)} is being changed by another process; try again.") from None
    except OSError as error:
        raise TokenFileError(
            f"The token file {quoted_path(path)} can't be changed ({error.strerror}); nothing was changed."
        ) from None
