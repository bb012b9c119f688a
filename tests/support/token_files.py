"""Token files, valid and broken, and the error of a refused one. Use it for tests of tokens without a server."""

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import TokenFileError
from tests.support.constants import A

MAIN = AllowedOrganizations(main=True, sub_organizations=frozenset())

SUB = A

DIGEST = hashlib.sha256(b"planted").hexdigest()

PLANTED = f"callers_mcp_{DIGEST[::-1]}"

ENTRY: dict[str, Any] = {
    "name": "ci",
    "sha256": DIGEST,
    "main": True,
    "sub_organizations": [SUB],
    "created": "2026-01-31T12:00:00Z",
}


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def write(file: Path, content: Any, mode: int = 0o600) -> None:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(mode)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the error of a refused call, which must be one line without a secret."""
    with pytest.raises(TokenFileError) as refused:
        call(*arguments)
    text = str(refused.value)
    assert "\n" not in text
    assert DIGEST[:8] not in text
    assert PLANTED[12:20] not in text
    assert refused.value.__suppress_context__ or not refused.value.__context__  # a traceback must not quote the file
    return text
