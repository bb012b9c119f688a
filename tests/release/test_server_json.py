"""The entry for the registry is valid and matches the code."""

import hashlib
import json
import re

import jsonschema
import pytest

import callers_mcp
from callers_mcp.settings import Settings, variable
from tests.support.bundle import BUNDLE, MAKER, ROOT

SCHEMA = json.loads((ROOT / "tests/data/server.schema.2025-12-11.json").read_text())
ENTRY = json.loads((ROOT / "server.json").read_text())
PYPI, MCPB = ENTRY["packages"]


def test_the_entry_is_valid_for_the_registry() -> None:
    assert ENTRY["$schema"] == SCHEMA["$id"]
    jsonschema.validate(ENTRY, SCHEMA, jsonschema.Draft7Validator)


def test_the_entry_names_this_version_and_this_package() -> None:
    assert ENTRY["version"] == PYPI["version"] == callers_mcp.__version__
    assert (PYPI["registryType"], PYPI["identifier"]) == ("pypi", "callers-mcp")
    assert (PYPI["runtimeHint"], PYPI["transport"]) == ("uvx", {"type": "stdio"})


def test_the_entry_has_the_hash_of_the_bundle_of_this_code() -> None:
    expected = MAKER["registry_entry"](hashlib.sha256(BUNDLE).hexdigest())
    assert (ROOT / "server.json").read_text() == expected, "server.json is older than the code: run .ci/bundle.py"


def test_the_address_of_the_bundle_is_valid_for_the_registry() -> None:
    # The registry also checks, beyond its schema: a file of a GitHub release, a hash, and no version field.
    assert MCPB["registryType"] == "mcpb"
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w.-]+/releases/download/[^/]+/[^/]*mcp[^/]*", MCPB["identifier"])
    assert set(MCPB) == {"registryType", "identifier", "fileSha256", "transport"}


def test_the_icon_is_the_one_in_the_repository() -> None:
    (icon,) = ENTRY["icons"]
    assert icon["src"].endswith("/docs/icon.png")
    png = (ROOT / "docs/icon.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert icon["sizes"] == [f"{width}x{height}"] == ["512x512"]


def test_the_readme_proves_the_ownership_of_the_package_to_the_registry() -> None:
    assert f"mcp-name: {ENTRY['name']}" in (ROOT / "README.md").read_text()


def test_the_entry_lists_every_setting_and_only_those() -> None:
    listed = {entry["name"]: entry for entry in PYPI["environmentVariables"]}
    assert list(listed) == [variable(field) for field in Settings.model_fields]
    for field, info in Settings.model_fields.items():
        entry = listed[variable(field)]
        assert info.description
        assert entry["description"].lower() == f"{info.description}.".lower()
        if info.default is not None:
            assert getattr(Settings(**{field: entry["default"]}), field) == info.default


@pytest.mark.parametrize("entry", PYPI["environmentVariables"], ids=lambda entry: entry["name"])
def test_only_the_key_is_marked_as_a_secret(entry: dict[str, object]) -> None:
    assert entry.get("isSecret", False) == (entry["name"] == "CALLERS_API_KEY")
