"""A token file that is wrong throughout costs little memory, and so little time, when it is refused."""

import sys
import tracemalloc
from pathlib import Path

import pytest

from callers_mcp.http.auth.token_store import read
from tests.support.token_files import refusal, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are checked only on POSIX")


def test_of_very_many_wrong_entries_only_the_first_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    write(file, {"tokens": [{}] * 10_000})
    tracemalloc.start()
    try:
        assert "entry 1 " in refusal(read, file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # the error of each missing field would take several times as much
