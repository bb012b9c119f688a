"""A minimal SDK server over stdio: the low-level server, one pooled HTTP client, no checks, no summary."""

import json
import os

import anyio
import httpx2
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool

SCHEMA = {"type": "object", "properties": {"campaign_id": {"type": "string"}}, "required": ["campaign_id"]}
client = httpx2.AsyncClient(
    base_url=os.environ["CALLERS_BASE_URL"], headers={"Authorization": os.environ["CALLERS_API_KEY"]}
)


async def list_tools(ctx: ServerRequestContext, params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[Tool(name="get_campaign", description="Get a campaign.", input_schema=SCHEMA)])


async def call_tool(ctx: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
    campaign = (await client.get(f"/campaigns/{(params.arguments or {})['campaign_id']}")).json()
    answer = {"summary": {"name": campaign["name"], "active": campaign["active"]}, "raw": campaign}
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(answer))], structured_content=answer)


async def main() -> None:
    server = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


anyio.run(main)
