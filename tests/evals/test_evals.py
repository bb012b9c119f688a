"""The command ``python -m tests.evals``: its report, its exit codes, and its messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import inherited
from tests.evals.__main__ import main
from tests.evals.servers import Servers, in_memory
from tests.support.chat_endpoint import ENDPOINT_KEY, endpoint, saying
from tests.support.constants import PATIENCE

ROOT = Path(__file__).parents[2]
SOME = ("--only", "status-paused", "--only", "form-of-an-id")


@pytest.fixture
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command run its servers inside this process."""
    monkeypatch.setattr("tests.evals.__main__.Servers", lambda: Servers(in_memory))


def command(*arguments: str, **environment: str) -> Result:
    """Run the command inside this process."""
    return CliRunner().invoke(main, arguments, env={"EVALS_API_KEY": None, **environment})


def test_the_command_reports_on_stdout_and_exits_with_0_if_the_threshold_is_reached() -> None:
    without_key = {name: value for name, value in os.environ.items() if not name.startswith("EVALS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.evals", "--scripted", "right", *SOME],
        cwd=ROOT,
        env=without_key | inherited(),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 6,
    )
    assert done.returncode == 0, done.stderr
    assert "**2 of 2 right (100%)**" in done.stdout
    assert "Tokens: not reported" in done.stdout


@pytest.mark.usefixtures("_in_memory")
def test_below_the_threshold_it_exits_with_1_and_the_report_can_be_written_to_a_file(tmp_path: Path) -> None:
    done = command("--scripted", "wrong", *SOME, "--report", str(tmp_path / "report.md"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "**0 of 2 right (0%)**" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.usefixtures("_in_memory")
def test_the_endpoint_receives_the_key_and_if_it_fails_the_report_has_the_questions_so_far() -> None:
    with endpoint(lambda _: saying("It is 24 hexadecimal digits."), 401) as (url, requests):
        two_questions = ["--only", "form-of-an-id", "--only", "pause-it"]
        done = command("--model", "m", "--base-url", url, *two_questions, EVALS_API_KEY=ENDPOINT_KEY)
    assert [request["key"] for request in requests] == [f"Bearer {ENDPOINT_KEY}"] * 2
    assert done.exit_code == 3
    assert "**0 of 1 right (0%)**" in done.stdout
    assert "It stopped after 1 of 2 questions: the endpoint answered 401" in done.stdout
    assert done.stderr.splitlines() == [
        "pause-it: fail",
        'Error: the endpoint answered 401: " no, not with ***"',
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--scripted"),
        (["--model", "m"], "--base-url"),
        (["--scripted", "right", "--model", "m"], "--scripted"),
        (["--scripted", "right", "--only", "unknown"], "No such question: unknown"),
        (["--model", "m", "--base-url", "http://models.example.com/v1"], "must be https"),
        (["--model", "m", "--base-url", "models.example.com"], "not an http or https URL"),
        (["--scripted", "right", "--report", "/nowhere/report.md"], "can't be written"),
    ],
)
def test_wrong_usage_is_reported_before_any_request(arguments: list[str], reason: str) -> None:
    done = command(*arguments, EVALS_API_KEY=ENDPOINT_KEY)
    assert done.exit_code == 2
    assert reason in done.output
    assert ENDPOINT_KEY not in done.output
