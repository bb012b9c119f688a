"""The bundle in Claude Desktop: the host's own tool accepts it, and the server starts like in the host.

Tests are ``slow`` because uv installs everything that the bundle requires, and ``parts`` if Node runs code of the host.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.stdio import get_default_environment
from mcp_types import CallToolResult, TextContent

import callers_mcp
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, SUB_ORGANIZATION_ID, Sandbox
from tests.support.build_once import build_once
from tests.support.bundle import BUNDLE, FILES, LOCKED, MANIFEST, ROOT, filled_in, unzipped
from tests.support.constants import NODE_MODULES, PATIENCE, SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION

PACKAGE = "@anthropic-ai/mcpb"

Start = dict[str, Any] | None
"""The command, arguments and environment with which a host starts the server; None if it does not start one."""


# The host's own tool


@pytest.fixture(scope="module")
def node() -> Callable[..., str]:
    """Return a function that runs Node with the npm package, and returns its stdout."""
    modules = Path(os.environ.get(NODE_MODULES) or ROOT / "node_modules").absolute()
    if not (modules / PACKAGE).is_dir():
        pytest.skip(f"the npm package {PACKAGE} is not in {NODE_MODULES}")
    program = shutil.which("node", path=modules / ".bin") or shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed")

    def run(script: str | Path, *arguments: str | Path, given: str | None = None) -> str:
        done = subprocess.run(
            [program, str(modules / script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            input=given,
            env=os.environ | {NODE_MODULES: str(modules)},
        )
        assert done.returncode == 0, done
        return done.stdout

    return run


@pytest.mark.parts
def test_the_host_s_tool_unpacks_and_validates_the_bundle_and_packs_the_same_files(
    node: Callable[..., str], tmp_path: Path
) -> None:
    tool = f"{PACKAGE}/dist/cli/cli.js"
    ours, theirs, folder = tmp_path / "ours.mcpb", tmp_path / "theirs.mcpb", tmp_path / "folder"
    ours.write_bytes(BUNDLE)
    assert "ours.mcpb" in node(tool, "info", ours)
    node(tool, "unpack", ours, folder)
    output = node(tool, "validate", folder)
    assert "Manifest schema validation passes!" in output
    assert "Icon validation passed" in output
    assert "ignored (.mcpbignore) files: 0" in node(tool, "pack", folder, theirs)
    assert unzipped(theirs.read_bytes()) == unzipped(BUNDLE) == FILES


# How the host starts it


@pytest.fixture(scope="session")
def uv() -> dict[str, str]:
    """The environment with which a process finds uv, this Python, and the package index of pip."""
    program = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if program is None:
        pytest.skip("uv is not installed: pip install -e '.[test]'")
    path = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
    python = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout
    options = {  # options of the environment are first in the list, and override those of files
        name: ast.literal_eval(value).split()
        for name, value in reversed(re.findall(r"^(?:global|:env:)\.([\w-]+)=(.*)$", listed, re.MULTILINE))
    }
    names = {
        "index-url": ("UV_DEFAULT_INDEX", " "),
        "extra-index-url": ("UV_INDEX", " "),
        "find-links": ("UV_FIND_LINKS", ","),
        "cert": ("SSL_CERT_FILE", ""),
    }
    index = {name: between.join(options[option]) for option, (name, between) in names.items() if option in options}
    own = {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    return get_default_environment() | {"PATH": path} | python | index | own


@pytest.fixture(scope="session")
def installed(uv: dict[str, str], tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the unpacked bundle. The server was started once, which installs its packages in the folder."""

    def install(folder: Path) -> None:
        with zipfile.ZipFile(BytesIO(BUNDLE)) as zipped:
            zipped.extractall(folder)
        start = filled_in(folder, {})
        command = [start["command"], *start["args"], "--version"]
        done = subprocess.run(command, env=uv, capture_output=True, text=True, timeout=30 * PATIENCE)
        if done.returncode and re.search("error sending request|dns error|Failed to fetch|Network", done.stderr):
            pytest.skip(f"uv reaches no package index: {done.stderr.strip().splitlines()[-1]}")
        assert (done.returncode, done.stdout) == (0, f"callers-mcp {callers_mcp.__version__}\n"), done.stderr

    # The name has a space, like on macOS.
    return build_once("Claude Extensions", install, tmp_path_factory, worker_id)


@pytest.fixture(
    params=[pytest.param("the host's own code", marks=pytest.mark.parts), "the manifest's rules"],
)
def host(request: pytest.FixtureRequest) -> Callable[[Path, dict[str, str]], Start]:
    """Return a function that returns how a host starts the server in a folder, with the settings of its user."""

    def by_rules(folder: Path, given: dict[str, str]) -> Start:
        settings = MANIFEST["user_config"]
        if any(setting["required"] and not given.get(name) for name, setting in settings.items()):
            return None
        defaults = {name: setting["default"] for name, setting in settings.items() if "default" in setting}
        return filled_in(folder, defaults | given)

    if request.param == "the manifest's rules":
        return by_rules
    node = request.getfixturevalue("node")

    def by_code(folder: Path, given: dict[str, str]) -> Start:
        options = {"manifest": MANIFEST, "extensionPath": str(folder), "userConfig": given}
        start: Start = json.loads(node(ROOT / "tests/node/mcpb_host.mjs", given=json.dumps(options)))
        assert start == by_rules(folder, given)
        return start

    return by_code


async def answered(start: Start, uv: dict[str, str], campaign_id: str) -> tuple[list[str], CallToolResult]:
    """Start the server, with uv offline; return its tools, and the result of a look-up."""
    assert start is not None
    environment = {name: value for name, value in uv.items() if name != "SSL_CERT_FILE"} | {"UV_OFFLINE": "1"}
    parameters = StdioServerParameters(command=start["command"], args=start["args"], env=environment | start["env"])
    async with Client(stdio_client(parameters)) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        return tools, await client.call_tool("get_campaign", {"campaign_id": campaign_id})


def refusal(result: CallToolResult) -> str:
    assert result.is_error
    assert result.meta
    assert result.meta["callers-mcp/error"]["kind"] == "not_configured"
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.slow
async def test_every_setting_reaches_the_server(
    host: Callable[[Path, dict[str, str]], Start], uv: dict[str, str], installed: Path, sandbox: Sandbox
) -> None:
    given = {
        "api_key": API_KEY,
        "base_url": sandbox.base_url,
        "organization_id": ORGANIZATION_ID,
        "sub_organization_id": SUB_ORGANIZATION_ID,
    }
    assert set(given) == set(MANIFEST["user_config"])
    tools, result = await answered(host(installed, given), uv, SAMPLE_IN_SUB_ORGANIZATION)
    assert tools == [tool["name"] for tool in MANIFEST["tools"]]
    assert not result.is_error


@pytest.mark.slow
@pytest.mark.parametrize("blank", [{}, {"organization_id": "", "sub_organization_id": " "}], ids=["untouched", "blank"])
async def test_optional_settings_may_be_left_blank(
    host: Callable[[Path, dict[str, str]], Start],
    uv: dict[str, str],
    installed: Path,
    sandbox: Sandbox,
    blank: dict[str, str],
) -> None:
    given = {"api_key": API_KEY, "base_url": sandbox.base_url}
    tools, result = await answered(host(installed, given | blank), uv, SAMPLE_ID)
    assert tools == ["get_campaign"]
    assert not result.is_error


def test_the_host_starts_nothing_without_a_key(host: Callable[[Path, dict[str, str]], Start], tmp_path: Path) -> None:
    assert host(tmp_path, {"organization_id": ORGANIZATION_ID}) is None


@pytest.mark.slow
@pytest.mark.parametrize("values", [{}, {"api_key": "", "base_url": ""}], ids=["placeholders", "blank"])
async def test_a_server_that_a_host_starts_without_a_key_reports_what_to_set(
    uv: dict[str, str], installed: Path, values: dict[str, str]
) -> None:
    _, result = await answered(filled_in(installed, {"sub_organization_id": ""} | values), uv, SAMPLE_ID)
    assert "CALLERS_API_KEY" in refusal(result)


@pytest.mark.slow
async def test_a_placeholder_that_a_host_did_not_replace_is_never_an_organization(
    uv: dict[str, str], installed: Path, sandbox: Sandbox
) -> None:
    values = {"api_key": API_KEY, "base_url": sandbox.base_url}
    tools, result = await answered(filled_in(installed, values), uv, SAMPLE_ID)
    assert tools == ["get_campaign"]
    assert "CALLERS_SUB_ORGANIZATION_ID" in refusal(result)
    tools, result = await answered(filled_in(installed, values | {"sub_organization_id": ""}), uv, SAMPLE_ID)
    assert tools == ["get_campaign"]  # the organization's placeholder is not an organization
    assert not result.is_error


@pytest.mark.slow
def test_on_every_platform_the_versions_of_the_lock_file_are_installed(installed: Path) -> None:
    resolved = tomllib.loads((installed / "uv.lock").read_text())["package"]
    packages = {(package["name"], package["version"]) for package in resolved} - {
        ("callers-mcp", callers_mcp.__version__)
    }
    assert packages <= LOCKED
    assert {"mcp", "pywin32"} <= {name for name, _ in packages}
    assert "pytest" not in {name for name, _ in packages}
