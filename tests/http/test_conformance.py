"""The official conformance suite of MCP finds no fault in the hosted server.

Most of its scenarios are for reference servers: they call tools, prompts and resources by names that only those have.
Each scenario is judged here: it applies, or it reports what it should report of a server without those parts.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.constants import NODE_MODULES, PATIENCE
from tests.support.hosted_server import Hosted

pytestmark = pytest.mark.parts

PACKAGE = "@modelcontextprotocol/conformance"
JUDGED = "0.2.0-alpha.12"
"""The version of the suite that was judged; the released 0.1 does not know the protocol of 2026."""

VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")

APPLIES = {
    "caching",
    "dns-rebinding-protection",
    "http-header-validation",
    "input-required-result-unsupported-methods",
    "input-required-result-validate-input",
    "ping",
    "prompts-list",
    "resources-list",
    "sep-2164-resource-not-found",
    "server-initialize",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-stateless",
    "tools-list",
}
"""What a server with parts of its own must do; of some, all checks but those that are named below."""

_LATE = "Logging target|Failed to receive|Failed to open"  # half a second and an answer is late there

NOT_OURS = {
    # A tool, or an annotation of one, that only a reference server has.
    r'Unknown tool: "test_\w+"': {
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "input-required-result-basic-elicitation",
        "input-required-result-basic-list-roots",
        "input-required-result-basic-sampling",
        "input-required-result-capability-check",
        "input-required-result-ignore-extra-params",
        "input-required-result-multiple-input-requests",
        "input-required-result-request-state",
        "input-required-result-result-type",
        "tools-call-audio",
        "tools-call-elicitation",
        "tools-call-embedded-resource",
        "tools-call-error",
        "tools-call-image",
        "tools-call-mixed-content",
        "tools-call-sampling",
        "tools-call-simple-text",
        "tools-call-with-progress",
    },
    "Expected InputRequiredResult": {"input-required-result-multi-round"},
    "JSON-RPC error instead of re-requesting": {"input-required-result-missing-input-response"},
    "could not get initial InputRequiredResult": {"input-required-result-tampered-state"},
    "Tool 'json_schema_2020_12_tool' not found": {"json-schema-2020-12"},
    "no tool with x-mcp-header annotations": {"http-custom-header-server-validation"},
    f"Not testable: .*does not list the diagnostic tool|{_LATE}": {
        "server-stateless:sep-2575-server-rejects-undeclared-capability",
        "server-stateless:sep-2575-missing-capability-http-400",
        "server-stateless:sep-2575-http-server-no-independent-requests-on-stream",
        "server-stateless:sep-2575-server-no-log-without-loglevel",
    },
    # A prompt or a resource that only a reference server has.
    "There is no such prompt": {
        "input-required-result-non-tool-request",
        "prompts-get-embedded-resource",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-with-image",
    },
    "There is no such prompt or resource template": {"completion-complete"},
    "There is no such resource": {"resources-read-binary", "resources-read-text", "resources-templates-read"},
    # A level of logging, subscriptions, lists that change: capabilities that it does not declare.
    "Method not found": {
        "logging-set-level",
        "resources-subscribe",
        "resources-unsubscribe",
        "tools-call-with-logging",
    },
    f"no subscription-delivered capability|{_LATE}": {
        "server-stateless:sep-2575-server-sends-subscription-ack",
        "server-stateless:sep-2575-server-tags-subscription-id",
        "server-stateless:sep-2575-server-honors-notification-filter",
    },
    "did not declare prompts.listChanged": {
        "server-stateless:sep-2575-server-sends-prompts-list-changed-on-subscription"
    },
    "did not declare tools.listChanged": {"server-stateless:sep-2575-server-sends-tools-list-changed-on-subscription"},
    # Sessions: no server needs them, and this one keeps nothing between calls.
    "did not provide session ID": {
        "server-sse-multiple-streams:server-sse-multiple-streams-session",
        "server-sse-polling",
    },
}
"""What the suite reports of the parts that are not here, by the scenarios or checks that report it."""

EXCUSES = {name: report for report, names in NOT_OURS.items() for name in names}


class Suite(NamedTuple):
    command: list[str]
    version: str
    scenarios: dict[str, set[str]]
    """The versions of the protocol that each is for."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    modules = Path(os.environ.get(NODE_MODULES) or Path(__file__).parents[2] / "node_modules").absolute()
    package = modules / PACKAGE
    if not package.is_dir():
        pytest.skip(f"the npm package {PACKAGE} is not in {NODE_MODULES}")
    node = shutil.which("node", path=modules / ".bin") or shutil.which("node")
    if node is None:
        pytest.skip("Node is not here")
    version = output_of(node, "--version").strip()
    if int(version[1:].split(".")[0]) < 22:
        pytest.skip(f"the npm package {PACKAGE} needs Node 22; this is {version}")
    command = [node, str(package / "dist" / "index.js")]
    scenarios = re.findall(r"^  - (\S+) \[(.+)\]$", output_of(*command, "list", "--server"), re.MULTILINE)
    return Suite(
        command,
        json.loads((package / "package.json").read_bytes())["version"],
        {name: set(versions.split(",")) for name, versions in scenarios},
    )


@pytest.fixture(scope="module")
def url(suite: Suite) -> Iterator[str]:
    with Hosted("--sandbox") as hosted:
        yield hosted.url


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def reason(check: dict[str, Any]) -> str:
    """Return why a check did not succeed; the suite has several places for it."""
    details = check.get("details") or {}
    return check.get("errorMessage") or details.get("note") or details.get("message") or ""


def test_every_scenario_of_the_suite_was_judged(suite: Suite) -> None:
    core = {name: versions for name, versions in suite.scenarios.items() if versions != {"extension"}}
    found = f"The suite is {suite.version}, and was judged at {JUDGED}: look at what is new or gone"
    assert set(core) == APPLIES | {name for name in EXCUSES if ":" not in name}, found
    assert set().union(*core.values()) == set(VERSIONS), found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_official_suite_finds_no_fault_that_applies_here(
    suite: Suite, url: str, version: str, tmp_path: Path
) -> None:
    options = ("--url", url, "--suite", "all", "--spec-version", version, "--output-dir", str(tmp_path))
    run = subprocess.run(
        [*suite.command, "server", *options], check=False, capture_output=True, text=True, timeout=10 * PATIENCE
    )
    results = {
        re.sub(r"^server-|-\d{4}-\d\d-\d\dT\S+$", "", path.parent.name): json.loads(path.read_bytes())
        for path in tmp_path.glob("*/checks.json")
    }
    assert set(results) == {name for name, versions in suite.scenarios.items() if version in versions}, run
    amiss = []
    for scenario, checks in results.items():
        short = [check for check in checks if check["status"] not in ("SUCCESS", "INFO")]
        if not checks or (scenario in EXCUSES and not short):
            amiss.append(f"{scenario}: it has nothing to say, or passes and so applies after all")
        for check in short:
            excuse = EXCUSES.get(f"{scenario}:{check['id']}") or EXCUSES.get(scenario)
            if not excuse or not re.search(excuse, reason(check)):
                amiss.append(f"{scenario}: {check['status']} {check['id']}: {reason(check)}")
    assert not amiss, f"{suite.version} of the suite, judged at {JUDGED}:\n" + "\n".join(amiss)
