"""The documents are correct: their commands run, their tables match the code, and the files that they name exist."""

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
from callers_mcp.http.settings import HostingSettings
from callers_mcp.http.settings import variable as hosting_variable
from callers_mcp.install.registry import HOSTS, Platform
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from callers_mcp.settings import Settings, variable
from tests.support.command_line import run
from tests.support.constants import SAMPLE_ID

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "tests/README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
README = DOCUMENTS["README.md"]
REFERENCE = DOCUMENTS["docs/reference.md"]
COMMANDS = sorted(set(re.findall(r"^\| `(callers-mcp.*?)` \|", REFERENCE, re.MULTILINE)))
SERVING = {"callers-mcp", "callers-mcp --sandbox", "callers-mcp http"}
"""The commands of the table that serve: tests/stdio/ and tests/http/test_startup.py run them."""

TESTED_IN = {
    "callers-mcp demo": "tests/cli/test_demo.py",
    "callers-mcp sandbox": "tests/cli/test_demo.py",
    "callers-mcp token ": "tests/http/test_token_changes.py",
    "callers-mcp install HOST": "tests/install/test_install.py",
    "callers-mcp uninstall HOST": "tests/install/test_install.py",
    "callers-mcp config HOST": "tests/cli/test_config.py",
}
"""The commands of the table that other tests run."""

REASONS = {
    "python3 -m venv": "it installs packages; .ci/run runs it in an empty environment",
    "uvx ": "the same installation with another tool",
    "uv tool install": "the same installation with another tool",
    "uv pip compile": "it needs a package index; tests/release/test_package.py checks the file that it writes",
    "pip install": "it installs packages",
    "npm install": "it installs packages; .ci/run installs them for the tests that need them",
    "python tests/benchmarks/bench.py": "it takes minutes; tests/benchmarks/test_bench.py runs one short round",
    "python tests/benchmarks/list_bench.py": "it takes minutes; tests/api/test_list_reading.py tests others' turns",
    "python tests/benchmarks/attack_bench.py": "it takes minutes; tests/api/test_list_reading.py counts the steps",
    "python tests/benchmarks/http_bench.py": "it takes minutes, and its figures depend on the machine",
    "python tests/benchmarks/search_bench.py": "it takes minutes, and its figures depend on the machine",
    "python -m tests.load.rolling_restart": "tests/docs/test_nginx_example.py runs one round of it",
    "python -m tests.clients": "tests/clients/test_clients.py runs each client",
    "python -m tests.mutation": "it takes hours; tests/mutation/test_places.py tests what it leaves out",
    "python -m tests.evals": "tests/evals/test_evals.py runs it",
    "python -m tests.card.pictures": "it takes pictures, which a person looks at",
    "python tests/load/run.py": "it takes minutes; tests/load/test_load.py runs a short form",
    "export ": ".ci/run runs these lines unchanged, in an empty environment",
    ".venv/bin/": ".ci/run runs these lines unchanged, in an empty environment",
    "CALLERS_HTTP_PUBLIC_URL=": "tests/http/test_startup.py runs it with its own certificate and port",
    'eval "$(_CALLERS_MCP_COMPLETE=': "tests/cli/test_help.py runs it",
    "_CALLERS_MCP_COMPLETE=fish_source": "tests/cli/test_help.py completes words for fish",
}
"""Why the tests in this file need not run a command: what it starts with, and the reason."""

NAMED_FILE = re.compile(r"(?<![\w./-])(?:callers_mcp|docs|examples|tests|\.ci)/[\w.@/*-]*[\w/*]")
"""A file or folder of the project, named by its path."""

TEMPLATES = {"callers_mcp/server/tools/my_tool.py", "tests/server/test_my_tool.py", "tests/snapshots/my_tool.json"}
TEMPLATES |= {"tests/data/hosts/NAME.json"}
"""Files that the documents tell a contributor to create."""


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each not in SERVING and not each.startswith(tuple(TESTED_IN))]
)
def test_a_command_of_the_table_succeeds(command: str, sandbox_environment: dict[str, str]) -> None:
    arguments = command.replace("ID", SAMPLE_ID).split()[1:]
    code, out, errors = run(*arguments, environment=sandbox_environment)
    assert (code, errors) == (0, "")
    assert out


def shell_commands(text: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(
        r"`((?:uvx|uv|pip|python3?) [^`]+)`", text
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_shell_command_is_run_by_other_tests_or_has_a_reason_not_to_be_run(document: str) -> None:
    for command in shell_commands(DOCUMENTS[document]):
        assert command.startswith(tuple(REASONS)), command


def test_each_reason_is_for_a_command_in_a_document_and_names_a_file_that_exists() -> None:
    commands = [command for text in DOCUMENTS.values() for command in shell_commands(text)]
    assert [start for start in REASONS if not any(command.startswith(start) for command in commands)] == []
    named = [path for reason in [*REASONS.values(), *TESTED_IN.values()] for path in NAMED_FILE.findall(reason)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_of_the_project_that_a_document_names_exists(document: str) -> None:
    named = set(NAMED_FILE.findall(DOCUMENTS[document])) - TEMPLATES
    assert sorted(path for path in named if not list(ROOT.glob(path))) == []


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "tests/README.md"])
def test_every_file_that_a_guide_names_without_its_folder_exists(document: str) -> None:
    named = set(re.findall(r"`([\w.-]+\.(?:py|md|toml|json|txt|lock))`", DOCUMENTS[document]))
    existing = {file.name for folder in ("callers_mcp", "docs", "tests") for file in (ROOT / folder).rglob("*")}
    assert named - existing - {file.name for file in ROOT.iterdir()} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENTS[document]))
    existing = {
        name for file in ROOT.glob("tests/*/*.py") for name in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
    }
    assert named - existing == set()


def test_each_helper_for_tests_has_a_row_in_their_readme() -> None:
    rows = re.findall(r"^\| [a-z].* \| `(\w+)` \|$", DOCUMENTS["tests/README.md"], re.MULTILINE)
    assert sorted(rows) == sorted(file.stem for file in (ROOT / "tests/support").glob("*.py"))


def test_each_folder_of_tests_has_a_row_in_their_readme() -> None:
    rows = re.findall(r"^\| `(\w+)/` \| ", DOCUMENTS["tests/README.md"], re.MULTILINE)
    assert sorted(rows) == sorted({file.parent.name for file in (ROOT / "tests").glob("*/test_*.py")})


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_callers_mcp_that_a_document_names_exists(document: str) -> None:
    names = {command.split()[1] for command in COMMANDS if " " in command and " -" not in command.partition(" ID")[0]}
    for named in re.findall(r"`(?:[A-Z_]+=\S* )*callers-mcp ([a-z]+)", DOCUMENTS[document]):
        assert named in names | {"sandbox"}, named


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_an_existing_file_and_heading(document: str) -> None:
    pictures = re.findall(r' src(?:set)?="([^"]+)()"', DOCUMENTS[document])
    for path, anchor in pictures + re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", DOCUMENTS[document]):
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), path
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_points_at_a_release_before_there_is_one(document: str) -> None:
    if "(unreleased)" in (ROOT / "CHANGELOG.md").read_text("utf-8"):
        assert "/releases" not in DOCUMENTS[document]
        assert re.search(r"install (-q )?'?callers-mcp", DOCUMENTS[document]) is None


def test_the_section_on_how_it_works_begins_within_two_screens() -> None:
    """A screen is counted as fifty lines, and the pictures as half a screen."""
    before = README.partition("## How it works")[0]
    assert before != README
    assert len(before.splitlines()) <= 2 * 50 - 25


def test_the_readme_has_a_step_for_each_host() -> None:
    steps = re.findall(r"^\| (.*?) \| `callers-mcp install ([a-z-]+)`", README, re.MULTILINE)
    others = [" ".join(re.findall(r"^\| (.*?) \| `callers-mcp (?:install|config) HOST`", README, re.MULTILINE))]
    titles = {host.title: name for name, host in HOSTS.items()}
    assert dict(steps).items() <= titles.items()
    assert [title for title in titles if title not in dict(steps) and title not in others[0]] == []


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
    fields = HostingSettings.model_fields.items()
    hosting = [(hosting_variable(name), field.description) for name, field in fields if not field.exclude]
    assert pattern.findall(REFERENCE) == core
    assert pattern.findall(DOCUMENTS["docs/hosting.md"]) == hosting


def test_the_table_of_errors_matches_the_code() -> None:
    kinds = {
        error.kind
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, CallersError) and hasattr(error, "kind")
    }
    assert set(re.findall(r"^\| `(\w+)` \| ", DOCUMENTS["docs/answers.md"], re.MULTILINE)) & kinds == kinds


@pytest.mark.slow
async def test_the_results_in_the_documents_are_the_results_of_the_server(sandbox: Sandbox) -> None:
    """README.md and docs/chat.md show a call and the beginning of its result; docs/answers.md one complete result."""
    complete = {"campaign_id": "665f1c2ab1e4a9d0c7f3b805"}
    time = re.compile(r"\d{4}-\d\d-\d\dT\S+")
    shown = [
        ("get_campaign", complete, text)
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
            text, begin = (time.sub("TIME", each) for each in (block.text, expected.rstrip()))
            assert text == begin if arguments == complete else text.startswith(begin)


def test_the_snippet_for_claude_desktop_is_the_same_as_the_example_file() -> None:
    shown = re.findall(r"```json\n(.*?)```", DOCUMENTS["docs/hosts.md"], re.DOTALL)[0]
    assert json.loads(shown) == json.loads((ROOT / "examples/claude_desktop_config.json").read_text())
