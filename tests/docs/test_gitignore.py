"""What the documented steps write into a checkout is not committed by mistake."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = ["tokens.json", "tokens.json.lock", "api-key", "secrets/api-key", "chain.pem", "key.pem", "audit.jsonl"]
"""The files in docs/hosting.md and examples/hosting/ that have no folder outside the checkout."""


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("folder", ["", "examples/hosting/"])
def test_git_ignores_what_the_hosting_steps_write(tmp_path: Path, folder: str) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    names = [f"{folder}{name}" for name in WRITTEN]
    done = subprocess.run(["git", "check-ignore", *names], cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines() == names
