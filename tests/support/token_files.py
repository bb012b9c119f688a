"""Token files as a test wants them, valid and broken."""

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import TokenFileError

MAIN = AllowedOrganizations(main=True, sub_organizations=frozenset())


SUB = "66a0c0ffee0000000000beef"


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
    """Return what a refused call says: one line, with no secret in it."""
    with pytest.raises(TokenFileError) as refused:
        call(*arguments)
    said = str(refused.value)
    assert "\n" not in said
    assert DIGEST[:8] not in said
    assert PLANTED[12:20] not in said
    assert refused.value.__suppress_context__ or not refused.value.__context__  # so that no traceback quotes the file
    return said
