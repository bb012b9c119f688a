"""The packages that an installation needs, and the modules that the server imports."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import callers_mcp

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def needed(name: str, extras: frozenset[str], found: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Return ``name`` and all packages that it requires on this system, with the extras of each requirement."""
    if (name, extras) not in found:
        found.add((name, extras))
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                needed(canonicalize_name(requirement.name), frozenset(requirement.extras), found)
    return {package for package, _ in found}


def test_an_installation_is_at_most_40_packages() -> None:
    assert len(needed("callers-mcp", frozenset(), set())) <= 40


@pytest.mark.parametrize(
    "text",
    [
        text
        for part in (PROJECT["dependencies"], *EXTRAS.values())
        for text in part
        if not text.startswith(PROJECT["name"])  # an extra that includes another one
    ],
)
def test_the_lock_file_has_every_requirement_of_the_project(text: str) -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    requirement = Requirement(text)
    assert locked[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.slow
def test_the_server_imports_only_what_it_needs_to_start() -> None:
    code = """
import sys
from callers_mcp import Settings, create_server
create_server(Settings())
unneeded = {"jsonschema", "truststore", "rapidfuzz", "callers_mcp.sandbox", "callers_mcp.cli"}
unneeded |= {"tomlkit", "platformdirs", "callers_mcp.install"}
lists = {"callers_mcp.server.tools.find_campaigns", "callers_mcp.campaign.listing", "callers_mcp.campaign.matching"}
context = {"callers_mcp.server.resources", "callers_mcp.server.prompts", "callers_mcp.server.completion"}
print(sorted((unneeded | lists | context) & set(sys.modules)))
create_server(Settings(organization_id="65aa0011223344556677889a"))
print(sorted((unneeded | context) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_a_look_up_from_the_command_line_does_not_import_the_sdk() -> None:
    modules = "sys, callers_mcp.cli.get, callers_mcp.campaign.lookup"
    code = f"import {modules}; print(sorted({{'mcp', 'mcp_types'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_importing_the_package_imports_no_other_module() -> None:
    code = "import sys; before = set(sys.modules); import callers_mcp; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'callers_mcp'}\n"


@pytest.mark.parametrize("name", callers_mcp.__all__)
def test_a_public_name_exists(name: str) -> None:
    assert getattr(callers_mcp, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = callers_mcp.nonsense


def test_the_changelog_has_a_section_for_this_version() -> None:
    assert f"## {callers_mcp.__version__}" in (ROOT / "CHANGELOG.md").read_text()
