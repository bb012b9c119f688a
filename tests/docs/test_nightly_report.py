"""The nightly report shows what changed and what needs attention, and a failure loses no saved result."""

import json
import re
from pathlib import Path

import pytest

from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.support.campaigns import campaign
from tests.support.constants import ID, SAMPLE_ID
from tests.support.constants import SAMPLE_IN_SUB_ORGANIZATION as IN_SUB_ORGANIZATION
from tests.support.example_runs import run_here
from tests.support.fault_server import FaultServer, answer, error
from tests.support.install_home import mode

EXAMPLE = "nightly_report.py"
WITH_PROBLEMS = "665f1c2ab1e4a9d0c7f3b805"
"""A sample campaign that needs attention."""


def report(saved: Path, ids: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """Report on the campaigns with ``ids``; return exit code, stdout, stderr."""
    return run_here(EXAMPLE, "--saved", str(saved), given=ids, environment=environment)


def section(report: str, title: str) -> list[str]:
    found = re.search(rf"^## {title}\n\n(.*?)(?:\n\n|\Z)", report, re.DOTALL | re.MULTILINE)
    assert found
    return found[1].splitlines()


def test_a_report_lists_what_needs_attention_and_next_time_what_changed(
    tmp_path: Path, sandbox_environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved.json"
    ids = f"{SAMPLE_ID}\n\n{IN_SUB_ORGANIZATION} {SUB_ORGANIZATION_ID}\n{WITH_PROBLEMS}\n"
    code, first, errors = report(saved, ids, sandbox_environment)
    assert (code, errors) == (0, "")
    assert all("new in this report" in line for line in section(first, "Changed"))
    assert len(section(first, "Changed")) == 3
    assert any("does not exist" in line for line in section(first, "Needs attention"))
    assert section(first, "Not looked up") == ["Nothing."]
    assert mode(saved) == 0o600

    answers = json.loads(saved.read_text())
    answers[SAMPLE_ID]["raw"]["name"] = "Before ` | <b>*it*</b>\n## Changed"
    saved.write_text(json.dumps(answers))
    code, second, _ = report(saved, SAMPLE_ID, sandbox_environment)
    named = [line for line in section(second, "Changed") if "`name`" in line]
    assert named == [
        "- `Sample: Spring renewals`, running: `name` was `Before ' | <b>*it*</b> ## Changed`, "
        "is `Sample: Spring renewals`"
    ]
    assert "new in this report" not in second


def test_hostile_content_is_never_markdown_in_a_report(tmp_path: Path) -> None:
    hostile = "![x](https://elsewhere.example/?q) <b>hi</b> `"
    content = campaign(name=hostile, callParams={"timezone": hostile})
    with FaultServer(answer(content), error(400, hostile)) as api:
        environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": "key"}
        _, out, _ = report(tmp_path / "saved.json", ID, environment)
        _, again, _ = report(tmp_path / "saved.json", ID, environment)
    assert "does not exist" in out
    assert "Ask the user" in again or "check the ids" in again
    for line in (out + again).splitlines():
        assert "elsewhere" not in re.sub("`[^`]*`", "", line)


def test_a_report_accepts_an_empty_file_of_saved_results(tmp_path: Path, sandbox_environment: dict[str, str]) -> None:
    (tmp_path / "saved.json").touch()
    code, out, errors = report(tmp_path / "saved.json", SAMPLE_ID, sandbox_environment)
    assert (code, errors) == (0, "")
    assert "new in this report" in out


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": 1}', '{"a": {"summary": {}}}', "[" * 100_000, b"\xff"])
def test_a_broken_file_of_saved_results_is_named_and_stays(
    tmp_path: Path, sandbox_environment: dict[str, str], content: str | bytes
) -> None:
    saved = tmp_path / "saved.json"
    saved.write_bytes(before := content if isinstance(content, bytes) else content.encode())
    code, out, errors = report(saved, SAMPLE_ID, sandbox_environment)
    assert (code, out) == (2, "")
    assert f"{saved} is not a file of saved results" in errors.splitlines()[-1]
    assert not re.search(r"Traceback|Error\b|\(", errors.splitlines()[-1])
    assert saved.read_bytes() == before
    folder = tmp_path / "folder"
    folder.mkdir()
    assert report(folder, SAMPLE_ID, sandbox_environment)[2].endswith(
        f"{folder} is not a file of saved results: Is a directory\n"
    )
    missing = folder / "missing/saved.json"
    assert report(missing, SAMPLE_ID, sandbox_environment)[2].endswith(
        f"{missing} was not saved: No such file or directory\n"
    )


def test_a_report_writes_only_the_file_that_is_named_as_one(
    tmp_path: Path, sandbox_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "saved.new"
    other.write_text("another file of the user")
    assert run_here(EXAMPLE, SAMPLE_ID, given=SAMPLE_ID, environment=sandbox_environment)[0] == 2
    assert run_here(EXAMPLE, "--saved", "saved.json", given=SAMPLE_ID, environment=sandbox_environment)[0] == 0
    assert sorted(tmp_path.iterdir()) == [tmp_path / "saved.json", other]
    assert other.read_text() == "another file of the user"


def test_a_failed_look_up_is_reported_and_keeps_its_saved_result(
    tmp_path: Path, sandbox_environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved.json"
    assert report(saved, SAMPLE_ID, sandbox_environment)[0] == 0
    before = json.loads(saved.read_text())
    ids = f"{WITH_PROBLEMS}\n{SAMPLE_ID}\n{'0' * 24}\nno-id-at-all\n{SAMPLE_ID} elsewhere with words"
    with FaultServer(error(500)) as api:
        environment = sandbox_environment | {"CALLERS_BASE_URL": api.base_url, "CALLERS_MAX_ATTEMPTS": "1"}
        code, out, _ = report(saved, ids, environment)
    assert code == 1
    assert len(section(out, "Not looked up")) == 5
    assert json.loads(saved.read_text()) == before
    code, out, _ = report(saved, ids, sandbox_environment)
    assert code == 1
    assert len(section(out, "Not looked up")) == 3
    assert json.loads(saved.read_text()).keys() == {SAMPLE_ID, WITH_PROBLEMS}


def test_a_report_shows_no_secret_of_a_webhook(tmp_path: Path) -> None:
    code, out, errors = run_here(EXAMPLE, "--sandbox", "--saved", str(tmp_path / "saved.json"))
    assert (code, errors) == (0, "")
    assert "## Needs attention" in out
    for text in (out, (tmp_path / "saved.json").read_text()):
        assert "token=" not in text
