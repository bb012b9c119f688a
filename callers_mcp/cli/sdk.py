"""The MCP SDK for the stdio command: a start builds and loads only what its first answers need, then the rest.

Only the process of this command does so: it changes pydantic and the import system while it imports the SDK. The SDK's
models stay deferred, and so would a class of ours that derives from one.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from typing import Any

MODULES = (
    "mcp.server.caching",
    "mcp.server.context",
    "mcp.server.lowlevel.server",
    "mcp.server.runner",
    "mcp.shared.dispatcher",
    "mcp.shared.exceptions",
    "mcp.shared.jsonrpc_dispatcher",
    "mcp.shared.message",
    "mcp_types.methods",
    "mcp_types.version",
)
"""What the server imports of the SDK, and ``runner``, which the SDK imports to serve."""

_SERVING = ("mcp.server.connection", "mcp.server.context", "mcp.server.runner", "mcp.server.session", "mcp.shared.")
"""The modules that a server over stdio runs; others name what only a hosted server or a client uses."""


def import_sdk() -> None:
    """Import the SDK. Its models are built on first use, and on Python 3.15 its modules are loaded on first use.

    A version of pydantic or Python without the settings for that imports it as usual.
    """
    with ExitStack() as restore:
        _defer_models(restore)
        _defer_imports(restore)
        for module in MODULES:
            import_module(module)


def _defer_models(restore: ExitStack) -> None:
    from pydantic import BaseModel, TypeAdapter

    with suppress(AttributeError, TypeError):
        BaseModel.model_config["defer_build"] = True
        restore.callback(lambda: BaseModel.model_config.pop("defer_build"))
    adapter: Any = TypeAdapter  # of a union, which has no configuration
    if (original := vars(adapter).get("_defer_build")) is not None:
        restore.callback(setattr, adapter, "_defer_build", original)
        adapter._defer_build = True


def _defer_imports(restore: ExitStack) -> None:
    python: Any = sys
    with suppress(AttributeError):  # before Python 3.15
        restore.callback(python.set_lazy_imports_filter, python.get_lazy_imports_filter())
        restore.callback(python.set_lazy_imports, python.get_lazy_imports())
        # Not for all importers: httpx2 and httpcore2 change what they import.
        python.set_lazy_imports_filter(lambda importer, *_: importer.partition(".")[0] == "mcp")
        python.set_lazy_imports("all")


def load_rest() -> Iterator[Callable[[], object]]:
    """Yield functions that load and build what further requests need, each in a few milliseconds.

    Then an installation that is removed or upgraded under the server does not matter to the SDK.
    """
    from mcp_types import methods

    yield from (partial(_load_imports, name) for name in list(sys.modules) if name.startswith(_SERVING))
    yield from (model.model_rebuild for model in {*methods.CLIENT_REQUESTS.values()})
    yield from (model.model_rebuild for model in {*methods.CLIENT_NOTIFICATIONS.values()})
    results = {result: key for key, result in methods.SERVER_RESULTS.items()}
    yield from (partial(_build_result, *key) for key in results.values())


def _load_imports(name: str) -> None:
    """Load what the module imports and has not used."""
    for attribute in list(vars(sys.modules[name])):
        getattr(sys.modules[name], attribute)


def _build_result(method: str, version: str) -> None:
    from mcp_types import methods
    from pydantic import ValidationError

    with suppress(ValidationError):
        methods.serialize_server_result(method, version, {})
