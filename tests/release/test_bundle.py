"""The bundle for Claude Desktop is what its manifest and the host's own tool say, and starts as the host starts it."""

import ast
import hashlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.stdio import get_default_environment
from mcp_types import CallToolResult, TextContent

import callers_mcp
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, SUB_ORGANIZATION_ID, Sandbox
from callers_mcp.settings import Settings, variable
from tests.support.constants import NODE_MODULES, PATIENCE, SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION

ROOT = Path(__file__).parents[2]
MAKER: dict[str, Any] = runpy.run_path(str(ROOT / ".ci/bundle.py"))
# Of the npm package @anthropic-ai/mcpb 2.1.2, copyright 2025 Anthropic, PBC, under the MIT License.
SCHEMA = json.loads((ROOT / "tests/data/mcpb-manifest-v0.4.schema.json").read_text())
PACKAGE = "@anthropic-ai/mcpb"

BUNDLE: bytes = MAKER["bundle"]()
FILES: dict[str, bytes] = MAKER["contents"]()
MANIFEST: dict[str, Any] = json.loads(FILES["manifest.json"])
LOCKED = set(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

Start = dict[str, Any] | None
"""The command, arguments and environment with which a host starts the server; None where it starts none."""


def unzipped(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


# What is in it


def test_the_manifest_is_valid() -> None:
    jsonschema.validate(MANIFEST, SCHEMA, jsonschema.Draft7Validator)
    assert MANIFEST["manifest_version"] == "0.4"
    assert MANIFEST["server"]["type"] == "uv"


def test_the_version_is_the_package_s() -> None:
    project = tomllib.loads(FILES["pyproject.toml"].decode())["project"]
    assert MANIFEST["version"] == project["version"] == callers_mcp.__version__


async def test_the_manifest_lists_the_tools_and_prompts_that_a_server_has(
    stdio_server: Callable[..., StdioServerParameters],
) -> None:
    async with Client(stdio_client(stdio_server(CALLERS_ORGANIZATION_ID=ORGANIZATION_ID))) as client:
        tools, prompts = (await client.list_tools()).tools, (await client.list_prompts()).prompts
    assert MANIFEST["tools"] == [{"name": tool.name, "description": tool.description} for tool in tools]
    listed = [{key: prompt[key] for key in ("name", "description", "arguments")} for prompt in MANIFEST["prompts"]]
    assert listed == [
        {
            "name": prompt.name,
            "description": prompt.description,
            "arguments": [of.name for of in prompt.arguments or []],
        }
        for prompt in prompts
    ]
    for prompt in MANIFEST["prompts"]:
        assert re.findall(r"\$\{arguments\.(\w+)\}", prompt["text"]) == prompt["arguments"]


def test_the_host_asks_for_the_key_as_a_secret_and_for_nothing_else_that_must_be() -> None:
    asked = MANIFEST["user_config"]
    assert [name for name, of in asked.items() if of.get("sensitive")] == ["api_key"]
    assert [name for name, of in asked.items() if of["required"]] == ["api_key"]
    environment = MANIFEST["server"]["mcp_config"]["env"]
    assert environment == {variable(field): f"${{user_config.{field}}}" for field in asked}
    for field, of in asked.items():
        if field != "api_key":
            assert of["default"] == (Settings.model_fields[field].default or "")


def test_it_holds_the_package_s_sources_and_no_leftovers() -> None:
    package = {name: data for name, data in FILES.items() if name.startswith("callers_mcp/")}
    assert {"callers_mcp/py.typed", "callers_mcp/server/card/card.html", "callers_mcp/__main__.py"} <= set(package)
    assert all((ROOT / name).read_bytes() == data for name, data in package.items())
    assert not [name for name in FILES if "__pycache__" in name or name.endswith(".pyc")]
    assert set(FILES) - set(package) == {
        "LICENSE",
        "icon.png",
        "manifest.json",
        "pyproject.toml",
        MANIFEST["server"]["entry_point"],
    }
    assert len(BUNDLE) < 1_000_000


def test_it_requires_what_the_package_does_at_the_versions_of_the_lock_file() -> None:
    made = tomllib.loads(FILES["pyproject.toml"].decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert made["project"]["dependencies"] == project["dependencies"]
    assert made["project"]["requires-python"] == project["requires-python"]
    pins = [pin.partition(" ; ") for pin in made["tool"]["uv"]["constraint-dependencies"]]
    assert {tuple(pin.split("==")) for pin, _, _ in pins} == LOCKED
    assert ("pywin32", "sys_platform == 'win32'") in [(pin.split("==")[0], marker) for pin, _, marker in pins]


# Its bytes


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the bundle is made of, elsewhere, without git, of another time and with other modes."""
    sources = [name for name in FILES if (ROOT / name).is_file() and name != "pyproject.toml"]
    others = ["pyproject.toml", "requirements.lock", "server.json", "docs/icon.png", ".ci/bundle.py"]
    for name in [*sources, *others]:
        file = tmp_path / "copy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, file)
        file.chmod(0o700)
        os.utime(file, (1, 1))
    return tmp_path / "copy"


def made(copy: Path) -> bytes:
    elsewhere = os.environ | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
    out = copy.parent / "out"
    command = [sys.executable, str(copy / ".ci/bundle.py"), str(out)]
    subprocess.run(command, check=True, cwd="/", env=elsewhere, umask=0o077, timeout=PATIENCE)
    return (out / "callers-mcp.mcpb").read_bytes()


def test_its_bytes_depend_on_the_project_s_files_alone(copy: Path) -> None:
    assert made(copy) == BUNDLE
    (copy / "callers_mcp/logs.py").write_text("# changed\n")
    assert made(copy) != BUNDLE


def test_what_git_does_not_know_stays_out(copy: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    for command in (["init", "--quiet"], ["add", "callers_mcp"]):
        subprocess.run(["git", *command], cwd=copy, check=True, capture_output=True, timeout=PATIENCE)
    (copy / "callers_mcp/my.key").write_text("a key that was left there")
    assert made(copy) == BUNDLE


def test_making_it_brings_the_registry_s_entry_up_to_date(copy: Path) -> None:
    package = copy / "callers_mcp/__init__.py"
    package.write_text(package.read_text().replace(f'"{callers_mcp.__version__}"', '"7.8.9"'))
    archive = made(copy)
    entry = json.loads((copy / "server.json").read_text())
    pypi, mcpb = entry["packages"]
    assert entry["version"] == pypi["version"] == json.loads(unzipped(archive)["manifest.json"])["version"] == "7.8.9"
    assert mcpb["identifier"].endswith("/releases/download/v7.8.9/callers-mcp.mcpb")
    assert mcpb["fileSha256"] == hashlib.sha256(archive).hexdigest()
    assert "/v7.8.9/" in entry["icons"][0]["src"]


# The host's own tool


@pytest.fixture(scope="module")
def node() -> Callable[..., str]:
    """Run Node where the npm package is there, and return what it says."""
    modules = Path(os.environ.get(NODE_MODULES) or ROOT / "node_modules").absolute()
    if not (modules / PACKAGE).is_dir():
        pytest.skip(f"the npm package {PACKAGE} is not in {NODE_MODULES}")
    program = shutil.which("node", path=modules / ".bin") or shutil.which("node")
    if program is None:
        pytest.skip("Node is not here")

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


def test_the_host_s_tool_takes_it_apart_finds_it_valid_and_packs_the_same(
    node: Callable[..., str], tmp_path: Path
) -> None:
    tool = f"{PACKAGE}/dist/cli/cli.js"
    ours, theirs, folder = tmp_path / "ours.mcpb", tmp_path / "theirs.mcpb", tmp_path / "folder"
    ours.write_bytes(BUNDLE)
    assert "ours.mcpb" in node(tool, "info", ours)
    node(tool, "unpack", ours, folder)
    said = node(tool, "validate", folder)
    assert "Manifest schema validation passes!" in said
    assert "Icon validation passed" in said
    assert "ignored (.mcpbignore) files: 0" in node(tool, "pack", folder, theirs)
    assert unzipped(theirs.read_bytes()) == unzipped(BUNDLE) == FILES


# How the host starts it


@pytest.fixture(scope="module")
def uv() -> dict[str, str]:
    """What a process needs to find uv, this Python, and the package index where pip finds it."""
    program = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if program is None:
        pytest.skip("uv is not here: pip install -e '.[test]'")
    path = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
    python = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout
    options = {  # the environment's come first in the list, and go before the files'
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


@pytest.fixture(scope="module")
def installed(uv: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder, started once as the host starts it, which brings all it needs there."""
    folder = tmp_path_factory.mktemp("Claude Extensions")  # with a space, as on a Mac
    with zipfile.ZipFile(io.BytesIO(BUNDLE)) as zipped:
        zipped.extractall(folder)
    start = filled_in(folder, {})
    done = subprocess.run(
        [start["command"], *start["args"], "--version"], env=uv, capture_output=True, text=True, timeout=10 * PATIENCE
    )
    if done.returncode and re.search("error sending request|dns error|Failed to fetch|Network", done.stderr):
        pytest.skip(f"uv reaches no package index: {done.stderr.strip().splitlines()[-1]}")
    assert (done.returncode, done.stdout) == (0, f"callers-mcp {callers_mcp.__version__}\n"), done.stderr
    return folder


def filled_in(folder: Path, values: dict[str, str]) -> dict[str, Any]:
    """Return how to start the server: the manifest's placeholders filled in, and left where there is no value."""

    def fill(text: str) -> str:
        known = {"__dirname": str(folder)} | {f"user_config.{name}": value for name, value in values.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], found[0]), text)

    config = MANIFEST["server"]["mcp_config"]
    return {
        "command": fill(config["command"]),
        "args": [fill(argument) for argument in config["args"]],
        "env": {name: fill(value) for name, value in config["env"].items()},
    }


@pytest.fixture(params=["the host's own code", "the manifest's rules"])
def host(request: pytest.FixtureRequest) -> Callable[[Path, dict[str, str]], Start]:
    """Return how a host starts the server in a folder, once its user has given some settings."""

    def as_ruled(folder: Path, given: dict[str, str]) -> Start:
        asked = MANIFEST["user_config"]
        if any(of["required"] and not given.get(name) for name, of in asked.items()):
            return None
        return filled_in(folder, {name: of["default"] for name, of in asked.items() if "default" in of} | given)

    if request.param == "the manifest's rules":
        return as_ruled
    node = request.getfixturevalue("node")

    def as_coded(folder: Path, given: dict[str, str]) -> Start:
        options = {"manifest": MANIFEST, "extensionPath": str(folder), "userConfig": given}
        start: Start = json.loads(node(ROOT / "tests/node/mcpb_host.mjs", given=json.dumps(options)))
        assert start == as_ruled(folder, given)
        return start

    return as_coded


async def answered(start: Start, uv: dict[str, str], campaign_id: str) -> tuple[list[str], CallToolResult]:
    """Start the server without a network for uv; return its tools, and what it says of a campaign."""
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


@pytest.mark.parametrize("values", [{}, {"api_key": "", "base_url": ""}], ids=["placeholders", "blank"])
async def test_a_host_that_starts_it_without_a_key_is_told_what_to_set(
    uv: dict[str, str], installed: Path, values: dict[str, str]
) -> None:
    _, result = await answered(filled_in(installed, {"sub_organization_id": ""} | values), uv, SAMPLE_ID)
    assert "CALLERS_API_KEY" in refusal(result)


async def test_a_placeholder_that_a_host_left_is_never_a_place_to_look_into(
    uv: dict[str, str], installed: Path, sandbox: Sandbox
) -> None:
    values = {"api_key": API_KEY, "base_url": sandbox.base_url}
    tools, result = await answered(filled_in(installed, values), uv, SAMPLE_ID)
    assert tools == ["get_campaign"]
    assert "CALLERS_SUB_ORGANIZATION_ID" in refusal(result)
    tools, result = await answered(filled_in(installed, values | {"sub_organization_id": ""}), uv, SAMPLE_ID)
    assert tools == ["get_campaign"]  # the organization's placeholder is no organization
    assert not result.is_error


def test_what_is_installed_is_what_the_tests_ran_with_on_every_platform(installed: Path) -> None:
    resolved = tomllib.loads((installed / "uv.lock").read_text())["package"]
    brought = {(package["name"], package["version"]) for package in resolved} - {
        ("callers-mcp", callers_mcp.__version__)
    }
    assert brought <= LOCKED
    assert {"mcp", "pywin32"} <= {name for name, _ in brought}
    assert "pytest" not in {name for name, _ in brought}
