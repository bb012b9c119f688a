"""The argument HOST of the commands that know the hosts."""

from typing import Any

import click
from click.shell_completion import CompletionItem


class HostType(click.ParamType[str]):
    """One of the table's hosts, which is loaded only where a command asks for it."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or end with what may be given."""
        from callers_mcp.install.registry import HOSTS

        if value not in HOSTS:
            self.fail(f"{value!r} is none of {', '.join(HOSTS)}.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the hosts whose names begin so."""
        from callers_mcp.install.registry import HOSTS

        return [CompletionItem(name, help=HOSTS[name].title) for name in HOSTS if name.startswith(incomplete)]
