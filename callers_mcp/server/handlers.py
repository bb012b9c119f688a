"""Handlers for resources, prompts and completion, and the error mapping that they share with the tools.

Each imports what it needs at the first request: most chats send none.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import mcp_types as types
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from callers_mcp.access import OPERATOR
from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import CallersError, CampaignNotFound, InvalidArguments, internal_error
from callers_mcp.sanitize import truncate

Context = ServerRequestContext[CallersClient]

Handler = Callable[[Context, Any, CallersClient], Awaitable[HandlerResult]]
"""Answers a request with its parameters, and with the client that acts for its principal."""

Handlers = Mapping[str, tuple[type[types.RequestParams], Handler]]
"""For each method, its parameters and its handler."""

GetClient = Callable[[Context], CallersClient]
"""Returns the client that acts for the principal of a request."""

ERROR_META = "callers-mcp/error"
"""The key of an error's machine-readable details, in a tool result's ``_meta`` or a protocol error's ``data``."""

_RESOURCE_NOT_FOUND = -32002  # up to 2025-11-25; INVALID_PARAMS from 2026-07-28 on


def tool_error(error: CallersError, client: CallersClient) -> dict[str, Any]:
    """Return the result of a tool that failed, in a form that a model can use."""
    text, details = _error_payload(error, client)
    return {"content": [{"type": "text", "text": text}], "isError": True, "_meta": {ERROR_META: details}}


def _error_payload(error: CallersError, client: CallersClient) -> tuple[str, dict[str, Any]]:
    """Return an error as text for a model, and as details for programs; a hosted server's with its request id."""
    text, details = client.mask(error.message), error.details()
    # The operator of a hosted server finds the call in the audit log with its id.
    if error.request_id and client.access.principal is not OPERATOR:
        return f"{text} Request id: {error.request_id}.", details | {"request_id": error.request_id}
    return text, details


def add_handlers(server: Server[CallersClient], handlers: Handlers, get_client: GetClient) -> None:
    """Add the handlers to ``server``; what one raises becomes a protocol error."""
    for method, (params_type, run) in handlers.items():
        server.add_request_handler(method, params_type, partial(_handle, run, get_client))


async def _handle(run: Handler, get_client: GetClient, ctx: Context, params: types.RequestParams) -> HandlerResult:
    client = ctx.lifespan_context
    try:
        if isinstance(params, types.PaginatedRequestParams) and params.cursor:
            raise MCPError(code=types.INVALID_PARAMS, message="Invalid cursor: the list has one page.")
        client = get_client(ctx)
        result = await run(ctx, params, client)
        return {**result, "resultType": "complete"} if isinstance(result, dict) else result
    except MCPError:
        raise
    except CallersError as caught:
        error = caught
    except Exception:
        error = internal_error(ctx.method)
    text, details = _error_payload(error, client)
    code = types.INTERNAL_ERROR
    if isinstance(error, InvalidArguments):
        code = types.INVALID_PARAMS
    elif isinstance(error, CampaignNotFound):
        code = types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else _RESOURCE_NOT_FOUND
    uri = {"uri": truncate(client.mask(params.uri), 300)} if isinstance(params, types.ReadResourceRequestParams) else {}
    raise MCPError(code, text, {ERROR_META: details, **uri})


async def _list_resources(ctx: Context, params: types.PaginatedRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.resources import RESOURCES

    return types.ListResourcesResult(resources=RESOURCES)


async def _list_templates(ctx: Context, params: types.PaginatedRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.resources import TEMPLATES

    return types.ListResourceTemplatesResult(resource_templates=TEMPLATES)


async def _read_resource(ctx: Context, params: types.ReadResourceRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.resources import read_resource

    return await read_resource(str(params.uri), client)


async def _list_prompts(ctx: Context, params: types.PaginatedRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.prompts import PROMPTS

    return types.ListPromptsResult(prompts=PROMPTS)


async def _get_prompt(ctx: Context, params: types.GetPromptRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.prompts import get_prompt

    return await get_prompt(params.name, params.arguments or {}, client)


async def _complete(ctx: Context, params: types.CompleteRequestParams, client: CallersClient) -> HandlerResult:
    from callers_mcp.server.completion import complete

    others = params.context.arguments if params.context else None
    values, total = await complete(params.ref, params.argument.name, params.argument.value, others or {}, client)
    return {"completion": {"values": values, "total": total, "hasMore": total > len(values)}}


HANDLERS: Handlers = {
    "resources/list": (types.PaginatedRequestParams, _list_resources),
    "resources/templates/list": (types.PaginatedRequestParams, _list_templates),
    "resources/read": (types.ReadResourceRequestParams, _read_resource),
    "prompts/list": (types.PaginatedRequestParams, _list_prompts),
    "prompts/get": (types.GetPromptRequestParams, _get_prompt),
}
"""The handlers of resources and prompts."""

COMPLETION_HANDLERS: Handlers = {"completion/complete": (types.CompleteRequestParams, _complete)}
"""The handler of completion, which needs lists of campaigns."""
