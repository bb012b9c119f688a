"""The clients of the table in docs/agents.md, run with the server."""

import re
import sys
from pathlib import Path

import pytest

from callers_mcp.sandbox import ORGANIZATION_ID
from tests.clients.clients import CLIENTS, FOLDER, NotInstalled, python_of, row, run
from tests.support.constants import SAMPLE_ID
from tests.support.example_runs import run_process

DOCUMENT = (FOLDER.parents[1] / "docs/agents.md").read_text("utf-8")
RUNS = [(name, transport) for name, client in CLIENTS.items() for transport in client.transports]


def test_the_table_has_a_row_for_each_client_and_transport() -> None:
    rows = re.findall(r"^\| (.*?) \| (\d.*?) \| (stdio|HTTP) \|", DOCUMENT, re.MULTILINE)
    assert rows == [(CLIENTS[name].title, CLIENTS[name].version, transport) for name, transport in RUNS]


def test_the_node_packages_are_those_of_the_clients() -> None:
    packages = (FOLDER / "packages.txt").read_text("utf-8").split()
    assert packages == sorted({client.packages[0] for client in CLIENTS.values() if "@" in client.packages[0]})


@pytest.mark.parts
@pytest.mark.parametrize(("name", "transport"), RUNS)
def test_a_client_does_what_the_table_says(name: str, transport: str, tmp_path: Path) -> None:
    try:
        results = run(name, transport, tmp_path)
    except NotInstalled as error:
        pytest.skip(str(error))
    assert row(name, transport, results) in DOCUMENT.splitlines(), results


@pytest.mark.parts
@pytest.mark.parametrize("name", ["openai-agents", "langchain"])
def test_an_agent_with_an_environment_of_its_own_finds_a_campaign_or_says_why_not(
    name: str, sandbox_environment: dict[str, str]
) -> None:
    try:
        python = python_of(name)
    except NotInstalled as error:
        pytest.skip(str(error))
    example = {"openai-agents": "openai_agents.py", "langchain": "langchain_agent.py"}[name]
    module = [sys.executable, "-P", "-m", "callers_mcp"]
    found = run_process(example, "sprng renewal", *module, "--sandbox", python=python)
    assert found[::2] == (0, "")
    assert found[1].startswith("Sample: Spring renewals: Running outbound campaign")
    with_list = sandbox_environment | {"CALLERS_ORGANIZATION_ID": ORGANIZATION_ID}
    for reason, words, environment in (
        ("none has such a name", ["zzzzqqq xxyyx", *module, "--sandbox"], {}),
        ("set CALLERS_API_KEY", [SAMPLE_ID, *module], {}),
        ("API key", [SAMPLE_ID, *module], with_list | {"CALLERS_API_KEY": "wrong"}),
        ("no-such-command", [SAMPLE_ID, "no-such-command"], {}),
    ):
        code, out, errors = run_process(example, *words, environment=environment, python=python)
        assert (code, out, len(errors.splitlines())) == (1, "", 1), errors
        assert errors.startswith("No campaign: ")
        assert reason in errors
