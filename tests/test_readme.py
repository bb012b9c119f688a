"""What the README says is so: its commands run, its tables are the code's."""

import json
import re
from pathlib import Path

import pytest

from callers_mcp.api import errors
from callers_mcp.api.errors import CallersError
from callers_mcp.hosting.settings import FIELDS, HostingSettings
from callers_mcp.hosting.settings import variable as hosting_variable
from callers_mcp.settings import Settings, variable
from tests.pipe import CAMPAIGN_ID, PATIENCE, Pipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^\| `(callers-mcp.*?)` \|", README, re.MULTILINE)))
SERVING = {"callers-mcp", "callers-mcp --sandbox", "callers-mcp sandbox --port 8080", "callers-mcp http"}
DEMO = "callers-mcp demo"  # run by test_cli.py
TOKEN = "callers-mcp token "  # test_token_command.py
RUN_ELSEWHERE = {
    "python3 -m venv": ".ci/run, in an empty environment: it installs packages",
    "uvx ": "the same installation by another tool",
    "uv run ": "the same tests by another tool",
    "pip install": "it installs packages",
    "python tests/benchmarks/bench.py": "minutes of measuring; test_bench.py runs one short round",
    "python tests/benchmarks/list_bench.py": "the same for lists; test_list_reading.py holds that others have turns",
    "python examples/agent_workflow.py": "test_examples.py",
    "python tests/benchmarks/http_bench.py": "the same for HTTP",
    "python -m tests.rolling": "test_hosting_examples.py runs one round of it",
    "python tests/load/run.py": "the same for load; test_load.py runs a short form",
    "export ": ".ci/run runs these lines, as they are, in an empty environment",
    ".venv/bin/": "the same",
    "CALLERS_HTTP_PUBLIC_URL=": "test_http_start.py, with its own certificate and port",
}


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if command not in SERVING | {DEMO} and not command.startswith(TOKEN)]
)
def test_a_command_of_the_table_ends_well(command: str, sandbox_environment: dict[str, str]) -> None:
    arguments = command.replace("ID", CAMPAIGN_ID).split()[1:]
    with Pipe(*arguments, environment=sandbox_environment) as pipe:
        out, errors = pipe.process.communicate(timeout=PATIENCE)
    assert (pipe.process.returncode, errors) == (0, b"")
    assert out


def test_the_serving_commands_of_the_table_serve() -> None:
    assert set(COMMANDS) >= SERVING
    # The others are what test_protocol.py and test_http_start.py run.
    with Pipe("sandbox", "--port", "8080") as pipe:
        assert b"simulated Callers API" in pipe.stdout.readline() or b"8080" in pipe.end()[1].encode()


def test_every_other_command_is_run_elsewhere_for_a_reason() -> None:
    shell = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`((?:uvx|uv|pip|python3?) [^`]+)`", README)
    for command in shell + inline:
        assert any(command.startswith(known) for known in RUN_ELSEWHERE), command


def test_the_table_of_settings_is_the_code_s() -> None:
    rows = re.findall(r"^\| `(CALLERS_\w+)` \| (.*?) \|", README, re.MULTILINE)
    core = [(variable(field), info.description) for field, info in Settings.model_fields.items()]
    hosting = [(hosting_variable(field), HostingSettings.model_fields[field].description) for field in FIELDS]
    assert rows == core + hosting


def test_the_table_of_errors_is_the_code_s() -> None:
    kinds = {
        error.kind
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, CallersError) and hasattr(error, "kind")
    }
    assert set(re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE)) & kinds == kinds


def test_the_answers_it_shows_are_the_server_s() -> None:
    """Each is preceded by the call that gives it; the last one is named in words."""
    texts = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    calls = re.findall(r"`(\w+)` with `({[^`]*})`", README)
    calls.append(("get_campaign", '{"campaign_id": "665f1c2ab1e4a9d0c7f3b805"}'))
    timeless = re.compile(r"\d{4}-\d\d-\d\dT\S+")
    with Pipe("--sandbox") as pipe:
        pipe.handshake()
        for shown, (tool, arguments) in zip(texts, calls, strict=True):
            asked = {"name": tool, "arguments": json.loads(arguments)}
            text = pipe.ask("tools/call", asked)["result"]["content"][0]["text"]
            assert timeless.sub("TIME", text).startswith(timeless.sub("TIME", shown.rstrip()))
        assert timeless.sub("TIME", shown.rstrip()) == timeless.sub("TIME", text)


def test_the_snippet_for_claude_desktop_is_the_example() -> None:
    shown = re.findall(r"```json\n(.*?)```", README, re.DOTALL)[0]
    assert json.loads(shown) == json.loads((ROOT / "examples/claude_desktop_config.json").read_text())
