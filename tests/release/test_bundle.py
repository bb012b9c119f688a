"""The bundle for Claude Desktop: its manifest, its files, and its reproducible bytes."""

import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from mcp import Client

import callers_mcp
from callers_mcp import create_server
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID
from callers_mcp.settings import Settings, variable
from tests.support.bundle import BUNDLE, FILES, LOCKED, MANIFEST, ROOT, unzipped
from tests.support.constants import PATIENCE

# From the npm package @anthropic-ai/mcpb 2.1.2, copyright 2025 Anthropic, PBC, under the MIT License.
SCHEMA = json.loads((ROOT / "tests/data/mcpb-manifest-v0.4.schema.json").read_text())


# Its content


def test_the_manifest_is_valid() -> None:
    jsonschema.validate(MANIFEST, SCHEMA, jsonschema.Draft7Validator)
    assert MANIFEST["manifest_version"] == "0.4"
    assert MANIFEST["server"]["type"] == "uv"


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads(FILES["pyproject.toml"].decode())["project"]
    assert MANIFEST["version"] == project["version"] == callers_mcp.__version__


async def test_the_manifest_lists_the_tools_and_says_that_the_server_has_prompts() -> None:
    settings = Settings(api_key=API_KEY, organization_id=ORGANIZATION_ID)  # type: ignore[arg-type]
    async with Client(create_server(settings)) as client:
        tools = (await client.list_tools()).tools
    assert MANIFEST["tools"] == [{"name": tool.name, "description": tool.description} for tool in tools]
    assert not MANIFEST["tools_generated"]
    assert MANIFEST["prompts_generated"]


def test_only_the_key_is_a_secret_and_only_the_key_is_required() -> None:
    settings = MANIFEST["user_config"]
    assert [name for name, setting in settings.items() if setting.get("sensitive")] == ["api_key"]
    assert [name for name, setting in settings.items() if setting["required"]] == ["api_key"]
    environment = MANIFEST["server"]["mcp_config"]["env"]
    assert environment == {variable(field): f"${{user_config.{field}}}" for field in settings}
    for field, setting in settings.items():
        if field != "api_key":
            assert setting["default"] == (Settings.model_fields[field].default or "")


def test_the_bundle_contains_the_sources_of_the_package_and_no_other_files() -> None:
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


def test_the_bundle_has_the_requirements_of_the_package_with_the_versions_of_the_lock_file() -> None:
    in_bundle = tomllib.loads(FILES["pyproject.toml"].decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert in_bundle["project"]["dependencies"] == project["dependencies"]
    assert in_bundle["project"]["requires-python"] == project["requires-python"]
    pins = [pin.partition(" ; ") for pin in in_bundle["tool"]["uv"]["constraint-dependencies"]]
    assert {tuple(pin.split("==")) for pin, _, _ in pins} == LOCKED
    assert ("pywin32", "sys_platform == 'win32'") in [(pin.split("==")[0], marker) for pin, _, marker in pins]


# Its bytes


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the bundle is built from, without git, with other times and modes."""
    sources = [name for name in FILES if (ROOT / name).is_file() and name != "pyproject.toml"]
    others = ["pyproject.toml", "requirements.lock", "server.json", "docs/icon.png", ".ci/bundle.py"]
    for name in [*sources, *others]:
        file = tmp_path / "copy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, file)
        file.chmod(0o700)
        os.utime(file, (1, 1))
    return tmp_path / "copy"


def built_in_process(copy: Path) -> bytes:
    """Build the bundle from a copy, in a process with another folder, time zone, umask and hash seed."""
    environment = os.environ | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
    out = copy.parent / "out"
    command = [sys.executable, str(copy / ".ci/bundle.py"), str(out)]
    subprocess.run(command, check=True, cwd="/", env=environment, umask=0o077, timeout=PATIENCE)
    return (out / "callers-mcp.mcpb").read_bytes()


def built_here(copy: Path) -> bytes:
    """Build the bundle from a copy inside this process, with the version of the imported package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", sys.path.copy())  # the script changes it
        archive: bytes = runpy.run_path(str(copy / ".ci/bundle.py"))["bundle"]()
    return archive


@pytest.mark.slow
def test_the_bytes_depend_only_on_the_files_of_the_project(copy: Path) -> None:
    assert built_in_process(copy) == BUNDLE
    (copy / "callers_mcp/logs.py").write_text("# changed\n")
    assert built_here(copy) != BUNDLE


def test_a_file_that_git_does_not_track_is_not_in_the_bundle(copy: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for command in (["init", "--quiet"], ["add", "callers_mcp"]):
        subprocess.run(["git", *command], cwd=copy, check=True, capture_output=True, timeout=PATIENCE)
    (copy / "callers_mcp/my.key").write_text("a key that was left there")
    assert built_here(copy) == BUNDLE


@pytest.mark.slow
def test_building_the_bundle_updates_the_entry_for_the_registry(copy: Path) -> None:
    package = copy / "callers_mcp/__init__.py"
    package.write_text(package.read_text().replace(f'"{callers_mcp.__version__}"', '"7.8.9"'))
    archive = built_in_process(copy)
    entry = json.loads((copy / "server.json").read_text())
    pypi, mcpb = entry["packages"]
    assert entry["version"] == pypi["version"] == json.loads(unzipped(archive)["manifest.json"])["version"] == "7.8.9"
    assert mcpb["identifier"].endswith("/releases/download/v7.8.9/callers-mcp.mcpb")
    assert mcpb["fileSha256"] == hashlib.sha256(archive).hexdigest()
    assert "/v7.8.9/" in entry["icons"][0]["src"]
