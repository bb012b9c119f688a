"""A start over stdio defers what its first answers do not need; later that is loaded, and nothing else is changed."""

import ast
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

import callers_mcp
from callers_mcp.cli import sdk
from tests.support.campaigns import campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import environment_of, holding
from tests.support.stdio_process import Pipe

REPORTING = """
import logging, sys
from callers_mcp.cli import main
from pydantic import BaseModel, TypeAdapter

def report(*values):
    print(*values, file=sys.stderr, flush=True)

class Imports:
    def find_spec(self, name, *_):
        if name in ("mcp_types", "callers_mcp.settings"):  # the latter has the first models of ours
            lazy = sys.get_lazy_imports() if hasattr(sys, "get_lazy_imports") else "all"
            report(name, "defer_build" in BaseModel.model_config, TypeAdapter._defer_build is True, lazy)
        if name == "click" and "uvicorn" not in sys.modules:  # which imports it
            report(name)
        if name == "callers_mcp.server.create":
            sys.modules["callers_mcp.stdio"]._IDLE_SECONDS = 0

def models(kind):
    for model in kind.__subclasses__():
        yield model
        yield from models(model)

def is_loaded(record):
    from mcp_types import methods
    deferred = {model.__module__ for model in models(BaseModel) if not model.__pydantic_complete__}
    requested = [*methods.CLIENT_REQUESTS.values(), *methods.CLIENT_NOTIFICATIONS.values()]
    report(*sorted({name.partition(".")[0] for name in deferred}), all(one.__pydantic_complete__ for one in requested))
    return True

sys.meta_path.insert(0, Imports())
logging.getLogger("callers_mcp.stdio").addFilter(is_loaded)
sys.argv = ["callers-mcp"]
main()
"""
LATER = f"callers_mcp.settings False False {'normal' if hasattr(sys, 'set_lazy_imports') else 'all'}"
PACKAGES = ("callers_mcp", "mcp", "mcp_types")


def test_only_the_sdk_is_deferred_and_a_server_that_is_removed_after_its_start_still_answers(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(Path(import_module(package).__file__ or "").parent, tmp_path / package)
    paths = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    with FaultServer(holding(campaign())) as api:
        environment = environment_of(api, CALLERS_LOG_LEVEL="DEBUG", CALLERS_ORGANIZATION_ID=CAMPAIGN_OWNER_ID)
        with Pipe(environment=environment | paths, code=REPORTING) as pipe:
            pipe.handshake()
            pipe.ask("tools/list")
            assert pipe.process.stderr
            lines = [pipe.process.stderr.readline().decode().strip() for _ in range(4)]
            assert lines[:3] == ["mcp_types True True all", LATER, "mcp mcp_types True"]
            assert lines[3].endswith("the rest is loaded")
            for package in PACKAGES:
                shutil.rmtree(tmp_path / package)
            assert pipe.ask("tools/call", {})["error"]["code"] == -32602
            assert not pipe.call({"campaign_id": ID})["isError"]
            for method in ("prompts/list", "resources/list"):  # imported at the first request
                message = pipe.ask(method)["error"]["message"]
                assert message == "callers-mcp was upgraded or removed while it ran; restart the host."
            pipe.stdin.close()
            assert pipe.process.wait() == 0


def restored() -> bool:
    lazy: Any = sys
    unchanged = not hasattr(sys, "set_lazy_imports") or (
        lazy.get_lazy_imports() == "normal" and lazy.get_lazy_imports_filter() is None
    )
    return unchanged and "defer_build" not in BaseModel.model_config and isinstance(TypeAdapter._defer_build, property)


def test_pydantic_and_python_are_restored_if_the_import_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp_types.version", None)
    with pytest.raises(ImportError):
        sdk.import_sdk()
    assert restored()


def test_a_pydantic_or_python_without_the_hooks_imports_the_sdk_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseModel, "model_config", MappingProxyType({}))
    monkeypatch.delattr(TypeAdapter, "_defer_build")
    monkeypatch.delattr(sys, "get_lazy_imports_filter", raising=False)
    sdk.import_sdk()
    monkeypatch.undo()
    assert restored()


def test_the_list_of_modules_has_all_that_the_server_imports() -> None:
    """One that is missing would be imported later, with all its own imports."""
    package = Path(callers_mcp.__file__).parent
    imported = set()
    for file in [package / "stdio.py", *(package / "server").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mcp"):
                imported.add(node.module)
    assert all(any(module.startswith(name) for module in sdk.MODULES) for name in imported), imported


def test_no_model_of_ours_derives_from_one_of_the_sdk() -> None:
    """It would inherit the deferral, and be built by its first use in any thread."""
    for file in Path(callers_mcp.__file__).parent.rglob("*.py"):
        parts = file.relative_to(Path(callers_mcp.__file__).parents[1]).with_suffix("").parts
        if parts[-1] not in ("__main__", "__init__"):
            for value in vars(import_module(".".join(parts))).values():
                if isinstance(value, type) and value.__module__.startswith("callers_mcp"):
                    assert not [base for base in value.__mro__ if base.__module__.startswith("mcp")], value
