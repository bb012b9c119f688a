"""The registry's entry is valid, and in step with the code."""

import json
from pathlib import Path

import jsonschema
import pytest

import callers_mcp
from callers_mcp.settings import Settings, variable

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "tests/data/server.schema.2025-12-11.json").read_text())
ENTRY = json.loads((ROOT / "server.json").read_text())


def test_the_entry_is_valid_for_the_registry() -> None:
    assert ENTRY["$schema"] == SCHEMA["$id"]
    jsonschema.validate(ENTRY, SCHEMA, jsonschema.Draft7Validator)


def test_the_entry_names_this_version_and_this_package() -> None:
    (package,) = ENTRY["packages"]
    assert ENTRY["version"] == package["version"] == callers_mcp.__version__
    assert (package["registryType"], package["identifier"]) == ("pypi", "callers-mcp")


def test_the_readme_proves_to_the_registry_that_the_package_is_ours() -> None:
    assert f"mcp-name: {ENTRY['name']}" in (ROOT / "README.md").read_text()


def test_the_entry_lists_every_setting_and_only_those() -> None:
    listed = {entry["name"]: entry for entry in ENTRY["packages"][0]["environmentVariables"]}
    assert list(listed) == [variable(field) for field in Settings.model_fields]
    for field, info in Settings.model_fields.items():
        entry = listed[variable(field)]
        assert info.description
        assert entry["description"].lower() == f"{info.description}.".lower()
        if info.default is not None:
            assert getattr(Settings(**{field: entry["default"]}), field) == info.default


@pytest.mark.parametrize("entry", ENTRY["packages"][0]["environmentVariables"], ids=lambda entry: entry["name"])
def test_only_the_key_is_marked_as_a_secret(entry: dict[str, object]) -> None:
    assert entry.get("isSecret", False) == (entry["name"] == "CALLERS_API_KEY")
