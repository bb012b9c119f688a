"""The argument HOST of ``install``, ``uninstall`` and ``config``."""

from typing import Any

import click
from click.shell_completion import CompletionItem


class HostType(click.ParamType[str]):
    """The name of a host in the registry, which is imported only if a command uses it."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with a list of the valid names."""
        from callers_mcp.install.registry import HOSTS

        if value not in HOSTS:
            self.fail(f"{value!r} is not one of {', '.join(HOSTS)}.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the hosts whose names begin with ``incomplete``."""
        from callers_mcp.install.registry import HOSTS

        return [CompletionItem(name, help=HOSTS[name].title) for name in HOSTS if name.startswith(incomplete)]
