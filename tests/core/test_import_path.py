"""A file in the working folder, for example a project's ``click.py``, is never imported: it could read the key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from callers_mcp.install import entry
from tests.support.constants import PATIENCE

ROOT = Path(__file__).parents[2]
STARTS = re.compile(r"""(?:-P|"-P")?[ ,]*"?-m"?[ ,]+"?callers_mcp\b""")


@pytest.mark.slow
@pytest.mark.parametrize("options", [["-P"], []], ids=["as written", "by hand"])
def test_no_module_of_the_working_folder_is_imported(tmp_path: Path, options: list[str]) -> None:
    for module in ("click", "pydantic", "signal"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')")
    command = [sys.executable, *options, "-m", "callers_mcp", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert "imported" not in done.stderr
    assert "CALLERS_API_KEY" in done.stdout


def test_an_entry_without_the_script_leaves_the_working_folder_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert entry.server_command() == [str(tmp_path / "python"), "-P", "-m", "callers_mcp"]
    assert entry.is_ours({"command": entry.server_command()[0], "args": entry.server_command()[1:]})


def test_every_command_line_that_is_written_down_leaves_the_working_folder_out() -> None:
    paths = [path for folder in ("callers_mcp", "docs", "examples") for path in (ROOT / folder).rglob("*.*")]
    starts = [
        start
        for path in [*paths, *ROOT.glob("*.md")]
        if path.suffix in (".py", ".md", ".yaml", ".service", ".toml", ".conf", "")
        for start in STARTS.findall(path.read_text("utf-8"))
    ]
    assert len(starts) >= 5
    assert {start for start in starts if "-P" not in start} == set()
