"""The documents are correct: their commands run, their tables match the code, their links lead somewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from callers_mcp import create_server
from callers_mcp.api import errors
from callers_mcp.api.errors import CallersError
from callers_mcp.http.settings import FIELDS, HostingSettings
from callers_mcp.http.settings import variable as hosting_variable
from callers_mcp.install.registry import HOSTS, Platform
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from callers_mcp.settings import Settings, variable
from tests.support.command_line import run
from tests.support.constants import SAMPLE_ID
from tests.support.stdio_process import Pipe

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
README = DOCUMENTS["README.md"]
REFERENCE = DOCUMENTS["docs/reference.md"]
COMMANDS = sorted(set(re.findall(r"^\| `(callers-mcp.*?)` \|", REFERENCE, re.MULTILINE)))
SERVING = {"callers-mcp", "callers-mcp --sandbox", "callers-mcp sandbox --port 8080", "callers-mcp http"}
ELSEWHERE = {  # in other tests
    "callers-mcp demo": "test_cli.py",
    "callers-mcp token ": "test_token_command.py",
    "callers-mcp install HOST": "test_install.py",
    "callers-mcp uninstall HOST": "test_install.py",
    "callers-mcp config HOST": "test_config_command.py",
}
RUN_ELSEWHERE = {
    "python3 -m venv": ".ci/run, in an empty environment: it installs packages",
    "uvx ": "the same installation by another tool",
    "uv run ": "the same tests by another tool",
    "uv tool install": "the same installation by another tool",
    "uv pip compile": "it needs a package index; test_package.py checks the file that it writes",
    "pip install": "it installs packages",
    "npm install": ".ci/run, for the tests that need these packages",
    "python tests/benchmarks/bench.py": "minutes of measuring; test_bench.py runs one short round",
    "python tests/benchmarks/list_bench.py": "the same for lists; test_list_reading.py holds that others have turns",
    "python tests/benchmarks/http_bench.py": "the same for HTTP",
    "python examples/agent_workflow.py": "test_examples.py",
    "python -m tests.load.rolling_restart": "test_nginx_example.py runs one round of it",
    "python -m tests.evals": "test_evals.py",
    "python -m tests.card.demo_picture": "it takes a picture, which a person looks at",
    "python tests/load/run.py": "the same for load; test_load.py runs a short form",
    "export ": ".ci/run runs these lines, as they are, in an empty environment",
    ".venv/bin/": "the same",
    "CALLERS_HTTP_PUBLIC_URL=": "test_http_start.py, with its own certificate and port",
    'eval "$(_CALLERS_MCP_COMPLETE=': "test_terminal.py",
    "_CALLERS_MCP_COMPLETE=fish_source": "test_terminal.py",
}


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each not in SERVING and not each.startswith(tuple(ELSEWHERE))]
)
def test_a_command_of_the_table_succeeds(command: str, sandbox_environment: dict[str, str]) -> None:
    arguments = command.replace("ID", SAMPLE_ID).split()[1:]
    code, out, errors = run(*arguments, environment=sandbox_environment)
    assert (code, errors) == (0, "")
    assert out


def test_the_serving_commands_of_the_table_serve() -> None:
    assert set(COMMANDS) >= SERVING
    # The others are what test_protocol.py and test_http_start.py run.
    with Pipe("sandbox", "--port", "8080") as pipe:
        assert b"simulated Callers API" in pipe.stdout.readline() or b"8080" in pipe.end()[1].encode()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_other_command_is_run_elsewhere_for_a_reason(document: str) -> None:
    text = DOCUMENTS[document]
    shell = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`((?:uvx|uv|pip|python3?) [^`]+)`", text)
    for command in shell + inline:
        assert any(command.startswith(known) for known in RUN_ELSEWHERE), command


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_callers_mcp_that_a_document_names_exists(document: str) -> None:
    names = {command.split()[1] for command in COMMANDS if " " in command and " -" not in command.partition(" ID")[0]}
    for named in re.findall(r"`(?:[A-Z_]+=\S* )*callers-mcp ([a-z]+)", DOCUMENTS[document]):
        assert named in names | {"sandbox"}, named


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document: str) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", DOCUMENTS[document]):
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


def test_the_section_on_how_it_works_begins_within_two_screens() -> None:
    """A screen is taken for fifty lines, a picture for half of one."""
    before = README.partition("## How it works")[0]
    assert before != README
    assert len(before.splitlines()) <= 2 * 50 - 25


def test_the_readme_has_one_step_for_each_host() -> None:
    steps = re.findall(r"^\| (.*?) \| `callers-mcp install (\S+)`", README, re.MULTILINE)
    assert dict(steps) == {host.title: name for name, host in HOSTS.items()}


def test_the_table_of_hosts_names_each_with_its_source() -> None:
    rows = re.findall(r"^\| `(\S+)` \| \[(.*?)\]\((\S+)\) \| (.*?) \|$", DOCUMENTS["docs/hosts.md"], re.MULTILINE)
    assert [row[:3] for row in rows] == [(name, host.title, host.source) for name, host in HOSTS.items()]
    linux = Platform("linux", {}, Path("~"))
    for name, _, _, where in rows:
        config = HOSTS[name].config(linux)
        assert config.name in where
        assert str(config.parent) in where


def test_the_tables_of_settings_match_the_code() -> None:
    pattern = re.compile(r"^\| `(CALLERS_\w+)` \| (.*?) \|", re.MULTILINE)
    core = [(variable(field), info.description) for field, info in Settings.model_fields.items()]
    hosting = [(hosting_variable(field), HostingSettings.model_fields[field].description) for field in FIELDS]
    assert pattern.findall(REFERENCE) == core
    assert pattern.findall(DOCUMENTS["docs/hosting.md"]) == hosting


def test_the_table_of_errors_matches_the_code() -> None:
    kinds = {
        error.kind
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, CallersError) and hasattr(error, "kind")
    }
    assert set(re.findall(r"^\| `(\w+)` \| ", DOCUMENTS["docs/answers.md"], re.MULTILINE)) & kinds == kinds


async def test_the_answers_that_they_show_are_the_server_s(sandbox: Sandbox) -> None:
    """Each is preceded by the call that gives it; the one in docs/answers.md is named in words, and whole."""
    whole = {"campaign_id": "665f1c2ab1e4a9d0c7f3b805"}
    timeless = re.compile(r"\d{4}-\d\d-\d\dT\S+")
    shown = [
        ("get_campaign", whole, text)
        for text in re.findall(r"```text\n(.*?)```", DOCUMENTS["docs/answers.md"], re.DOTALL)
    ]
    for document in ("README.md", "docs/chat.md"):
        found = re.findall(r"`(\w+)` with `({[^`]*})`.*?```text\n(.*?)```", DOCUMENTS[document], re.DOTALL)
        shown += [(tool, json.loads(arguments), text) for tool, arguments, text in found]
    assert len(shown) == 4
    settings: dict[str, Any] = {"api_key": API_KEY, "base_url": sandbox.base_url, "organization_id": ORGANIZATION_ID}
    async with Client(create_server(Settings(**settings))) as client:
        for tool, arguments, expected in shown:
            block, *_ = (await client.call_tool(tool, arguments)).content
            assert isinstance(block, TextContent)
            text, begin = (timeless.sub("TIME", each) for each in (block.text, expected.rstrip()))
            assert text == begin if arguments == whole else text.startswith(begin)


def test_the_snippet_for_claude_desktop_is_the_example() -> None:
    shown = re.findall(r"```json\n(.*?)```", DOCUMENTS["docs/hosts.md"], re.DOTALL)[0]
    assert json.loads(shown) == json.loads((ROOT / "examples/claude_desktop_config.json").read_text())
