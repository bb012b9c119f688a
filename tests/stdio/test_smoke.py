"""The main job, through the public door: a real client, the real server over stdio, a real request to the sandbox."""

import json
from collections.abc import Callable

from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import TextContent

from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.support.constants import SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION


async def test_a_client_gets_summary_and_raw(stdio_server: Callable[..., StdioServerParameters]) -> None:
    async with Client(stdio_client(stdio_server())) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_campaign"]
        result = await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})
    assert not result.is_error
    assert result.structured_content
    summary, raw = result.structured_content["summary"], result.structured_content["raw"]
    assert (summary["id"], summary["status"], summary["direction"]) == (SAMPLE_ID, "running", "outbound")
    assert summary["attention"] == summary["worth_checking"] == []
    assert raw["callParams"]["phonesFrom"] == ["+442071838750", "+4930901820"]
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    assert texts[0].splitlines()[0] == summary["headline"]
    assert json.loads(texts[1]) == raw


async def test_a_campaign_of_a_sub_organization_is_found_there_alone(
    stdio_server: Callable[..., StdioServerParameters],
) -> None:
    async with Client(stdio_client(stdio_server())) as client:
        there = await client.call_tool(
            "get_campaign", {"campaign_id": SAMPLE_IN_SUB_ORGANIZATION, "sub_organization_id": SUB_ORGANIZATION_ID}
        )
        elsewhere = await client.call_tool("get_campaign", {"campaign_id": SAMPLE_IN_SUB_ORGANIZATION})
    assert there.structured_content
    assert there.structured_content["summary"]["sub_organization_id"] == SUB_ORGANIZATION_ID
    assert elsewhere.is_error
    assert elsewhere.meta
    assert elsewhere.meta["callers-mcp/error"]["kind"] == "not_found"
