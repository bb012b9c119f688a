"""The examples of agents run on sample campaigns, without an account, and say what a model would say."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import add
from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.conftest import inherited
from tests.support.campaigns import campaign
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import FaultServer, answer, error
from tests.support.hosted_server import Hosted
from tests.support.install_home import mode

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENTS = ["nightly_report.py", "plain_client.py", "pydantic_ai_http.py", "pydantic_ai_stdio.py"]
SAMPLE_ID, WITH_PROBLEMS, IN_SUB_ORGANIZATION = (f"665f1c2ab1e4a9d0c7f3b80{number}" for number in (1, 5, 6))


def example(name: str, *arguments: str, given: str = "", **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env=inherited() | environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_says_at_its_top_how_to_put_a_real_model_in(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert re.search(r"\ba real (?:model|one)\b", text[:1000])


def test_each_example_is_under_80_lines() -> None:
    assert {name: lines for name, lines in lengths().items() if lines >= 80} == {}


def lengths() -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in EXAMPLES.glob("*.py")}


def test_the_plain_client_is_twenty_lines() -> None:
    assert lengths()["plain_client.py"] <= 20
    code, out, _ = example("plain_client.py", "--sandbox")
    assert code == 0
    assert out.startswith(f"{{'id': '{SAMPLE_ID}'")
    assert "'headline': 'Running outbound campaign" in out


def test_an_agent_over_stdio_finds_and_looks_up() -> None:
    code, out, errors = example("pydantic_ai_stdio.py", "--sandbox")
    assert (code, errors) == (0, "")
    assert out.startswith("Sample: Spring renewals: Running outbound campaign")
    code, out, _ = example("pydantic_ai_stdio.py", "--sandbox", "Sample: Win-back")
    assert code == 0
    assert "- It is active, but has a completion time." in out.splitlines()


def test_an_agent_over_stdio_says_what_it_could_not_find() -> None:
    code, out, _ = example("pydantic_ai_stdio.py", "--sandbox", "zzzzqqq xxyyx")
    assert code == 0
    assert out.startswith("I found no such campaign")


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosted, str]]:
    """A hosted server over the sample campaigns, and a token for it."""
    tokens = tmp_path_factory.mktemp("hosted") / "tokens.json"
    token = add(tokens, "my-agent", AllowedOrganizations.parse(["main"]))
    settings = {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": str(tokens)}
    with Hosted("--sandbox", environment=settings) as server:
        yield server, token


def test_an_agent_over_http_finds_and_looks_up(hosted: tuple[Hosted, str]) -> None:
    server, token = hosted
    code, out, errors = example("pydantic_ai_http.py", server.url, TOKEN=token)
    assert (code, errors) == (0, "")
    assert out.startswith("Sample: Spring renewals: Running outbound campaign")
    assert token not in out


def test_an_agent_over_http_needs_a_token(hosted: tuple[Hosted, str]) -> None:
    server, _ = hosted
    assert example("pydantic_ai_http.py", server.url)[0] == 2
    assert example("pydantic_ai_http.py", server.url, TOKEN="callers_mcp_" + "0" * 64)[0] == 1


# The nightly report


def section(report: str, title: str) -> list[str]:
    found = re.search(rf"^## {title}\n\n(.*?)(?:\n\n|\Z)", report, re.DOTALL | re.MULTILINE)
    assert found
    return found[1].splitlines()


def test_a_report_names_what_needs_attention_and_afterwards_what_changed(
    tmp_path: Path, sandbox_environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved.json"
    ids = f"{SAMPLE_ID}\n\n{IN_SUB_ORGANIZATION} {SUB_ORGANIZATION_ID}\n{WITH_PROBLEMS}\n"
    code, first, errors = example("nightly_report.py", str(saved), given=ids, **sandbox_environment)
    assert (code, errors) == (0, "")
    assert all("new in this report" in line for line in section(first, "Changed"))
    assert len(section(first, "Changed")) == 3
    assert any("does not exist" in line for line in section(first, "Needs attention"))
    assert section(first, "Not looked up") == ["Nothing."]
    assert mode(saved) == 0o600

    answers = json.loads(saved.read_text())
    answers[SAMPLE_ID]["raw"]["name"] = "Before ` | <b>*it*</b>\n## Changed"
    saved.write_text(json.dumps(answers))
    code, second, _ = example("nightly_report.py", str(saved), given=SAMPLE_ID, **sandbox_environment)
    named = [line for line in section(second, "Changed") if "`name`" in line]
    assert named == [
        "- `Sample: Spring renewals`, running: `name` was `Before ' | <b>*it*</b> ## Changed`, "
        "is `Sample: Spring renewals`"
    ]
    assert "new in this report" not in second


def test_nothing_that_strangers_wrote_is_markdown_in_a_report(tmp_path: Path) -> None:
    hostile = "![x](https://elsewhere.example/?q) <b>hi</b> `"
    content = campaign(name=hostile, callParams={"timezone": hostile})
    with FaultServer(answer(content), error(400, hostile)) as api:
        environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": "key"}
        _, out, _ = example("nightly_report.py", str(tmp_path / "saved.json"), given=ID, **environment)
        _, again, _ = example("nightly_report.py", str(tmp_path / "saved.json"), given=ID, **environment)
    assert "does not exist" in out
    assert "Ask the user" in again or "check the ids" in again
    for line in (out + again).splitlines():
        assert "elsewhere" not in re.sub("`[^`]*`", "", line)


def test_a_report_begins_anew_with_an_empty_file(tmp_path: Path, sandbox_environment: dict[str, str]) -> None:
    (tmp_path / "saved.json").touch()
    code, out, errors = example(
        "nightly_report.py", str(tmp_path / "saved.json"), given=SAMPLE_ID, **sandbox_environment
    )
    assert (code, errors) == (0, "")
    assert "new in this report" in out


def test_a_report_survives_what_cannot_be_looked_up_and_keeps_its_saved_answer(
    tmp_path: Path, sandbox_environment: dict[str, str]
) -> None:
    saved = tmp_path / "saved.json"
    assert example("nightly_report.py", str(saved), given=SAMPLE_ID, **sandbox_environment)[0] == 0
    before = json.loads(saved.read_text())
    ids = f"{WITH_PROBLEMS}\n{SAMPLE_ID}\n{'0' * 24}\nno-id-at-all\n{SAMPLE_ID} elsewhere with words"
    with FaultServer(error(500)) as api:
        environment = sandbox_environment | {"CALLERS_BASE_URL": api.base_url, "CALLERS_MAX_ATTEMPTS": "1"}
        code, out, _ = example("nightly_report.py", str(saved), given=ids, **environment)
    assert code == 1
    assert len(section(out, "Not looked up")) == 5
    assert json.loads(saved.read_text()) == before
    code, out, _ = example("nightly_report.py", str(saved), given=ids, **sandbox_environment)
    assert code == 1
    assert len(section(out, "Not looked up")) == 3
    assert json.loads(saved.read_text()).keys() == {SAMPLE_ID, WITH_PROBLEMS}


def test_a_report_shows_no_secret_of_a_webhook(tmp_path: Path) -> None:
    code, out, _ = example("nightly_report.py", "--sandbox", str(tmp_path / "saved.json"))
    assert code == 0
    for text in (out, (tmp_path / "saved.json").read_text()):
        assert "token=" not in text
