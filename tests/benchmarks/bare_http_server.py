"""A minimal SDK server over Streamable HTTP: one pooled HTTP client, uvicorn's defaults, no checks."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool

SCHEMA = {"type": "object", "properties": {"campaign_id": {"type": "string"}}, "required": ["campaign_id"]}


@contextlib.asynccontextmanager
async def lifespan(_: Server[httpx2.AsyncClient]) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": os.environ["CALLERS_API_KEY"]}
    async with httpx2.AsyncClient(base_url=os.environ["CALLERS_BASE_URL"], headers=headers) as client:
        yield client


async def list_tools(ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[Tool(name="get_campaign", description="Get a campaign.", input_schema=SCHEMA)])


async def call_tool(ctx: ServerRequestContext[httpx2.AsyncClient], params: CallToolRequestParams) -> CallToolResult:
    answer = await ctx.lifespan_context.get(f"/campaigns/{(params.arguments or {})['campaign_id']}")
    return CallToolResult(content=[TextContent(type="text", text=answer.text)])


if __name__ == "__main__":
    server = Server("bare", lifespan=lifespan, on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    uvicorn_server = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False))
    listener = uvicorn_server.config.bind_socket()
    listener.listen(2048)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn_server.run(sockets=[listener])
