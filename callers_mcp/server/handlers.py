"""Handlers for resources, prompts and completion, and the error mapping that they share with the tools."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    GetPromptRequestParams,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, CampaignNotFound, InvalidArguments, internal_error
from callers_mcp.api.retry import OnRetry
from callers_mcp.sanitize import truncate

Context = ServerRequestContext[CallersClient]

ERROR_META = "callers-mcp/error"
"""The key of an error's machine-readable details, in a tool result's ``_meta`` or a protocol error's ``data``."""

APPS_EXTENSION = "io.modelcontextprotocol/ui"
"""The extension with which hosts show the card. https://modelcontextprotocol.io/extensions/apps"""

_RESOURCE_NOT_FOUND = -32002  # up to 2025-11-25; INVALID_PARAMS from 2026-07-28 on


def add_handlers(
    server: Server[CallersClient], get_client: Callable[[Context], CallersClient], *, with_lists: bool, hosted: bool
) -> None:
    """Add the handlers for resources and prompts to ``server``, and for completion if it can list campaigns.

    Each handler imports what it needs at the first request: most chats send none.
    """

    async def list_resources(ctx: Context, params: PaginatedRequestParams) -> ListResourcesResult:
        from callers_mcp.server.resources import RESOURCES

        require_first_page(params)
        return ListResourcesResult(resources=RESOURCES)

    async def list_templates(ctx: Context, params: PaginatedRequestParams) -> ListResourceTemplatesResult:
        from callers_mcp.server.resources import TEMPLATES

        require_first_page(params)
        return ListResourceTemplatesResult(resource_templates=TEMPLATES)

    async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> dict[str, Any]:
        from callers_mcp.server.resources import read_resource as read

        client, uri = get_client(ctx), str(params.uri)
        with _protocol_errors(ctx, client, hosted=hosted, uri=uri):
            return {**await read(uri, client, report_retries(ctx)), "resultType": "complete"}

    async def list_prompts(ctx: Context, params: PaginatedRequestParams) -> ListPromptsResult:
        from callers_mcp.server.prompts import PROMPTS

        require_first_page(params)
        return ListPromptsResult(prompts=PROMPTS)

    async def get_prompt(ctx: Context, params: GetPromptRequestParams) -> dict[str, Any]:
        from callers_mcp.server.prompts import get_prompt as get

        client = get_client(ctx)
        with _protocol_errors(ctx, client, hosted=hosted):
            return {**await get(params.name, params.arguments or {}, client), "resultType": "complete"}

    async def complete(ctx: Context, params: CompleteRequestParams) -> dict[str, Any]:
        from callers_mcp.server.completion import MAX_VALUES
        from callers_mcp.server.completion import complete as complete_value

        client, others = get_client(ctx), params.context.arguments if params.context else None
        with _protocol_errors(ctx, client, hosted=hosted):
            values = await complete_value(params.ref, params.argument.name, params.argument.value, others or {}, client)
        completion = {"values": values[:MAX_VALUES], "total": len(values), "hasMore": len(values) > MAX_VALUES}
        return {"completion": completion, "resultType": "complete"}

    server.extensions[APPS_EXTENSION] = {}
    server.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
    server.add_request_handler("resources/templates/list", PaginatedRequestParams, list_templates)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read_resource)
    server.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    server.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)
    if with_lists:
        server.add_request_handler("completion/complete", CompleteRequestParams, complete)


def require_first_page(params: PaginatedRequestParams | None) -> None:
    """Reject a cursor: each of the server's lists has one page."""
    if params and params.cursor:
        raise MCPError(code=INVALID_PARAMS, message="Invalid cursor: the list has one page.")


def error_payload(error: CallersError, client: CallersClient, *, hosted: bool) -> tuple[str, dict[str, Any]]:
    """Return an error as text for a model, and as details for programs."""
    text, details = client.mask(error.message), error.details()
    if hosted and error.request_id:  # the operator finds it in the audit log with this id
        return f"{text} Request id: {error.request_id}.", details | {"request_id": error.request_id}
    return text, details


def report_retries(ctx: Context) -> OnRetry:
    """Return a function that reports a retry as progress; the SDK drops it if the request has no progress token."""

    async def report(attempt: int, reason: str) -> None:
        await ctx.session.report_progress(attempt, message=f"Trying again: {reason}")

    return report


@contextmanager
def _protocol_errors(ctx: Context, client: CallersClient, *, hosted: bool, uri: str | None = None) -> Iterator[None]:
    """Turn an exception in the block into a protocol error."""
    try:
        yield
        return
    except CallersError as caught:
        error = caught
    except Exception:
        error = internal_error(ctx.method)
    text, details = error_payload(error, client, hosted=hosted)
    code = INTERNAL_ERROR
    if isinstance(error, InvalidArguments):
        code = INVALID_PARAMS
    elif isinstance(error, CampaignNotFound):
        code = INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else _RESOURCE_NOT_FOUND
    raise MCPError(code, text, {ERROR_META: details} | ({"uri": truncate(client.mask(uri), 300)} if uri else {}))
