"""The main job from end to end: a real client, the real server over stdio, real requests to the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path

from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import TextContent

from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.support.constants import SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "get_campaign.json"


async def test_a_client_gets_the_tool_a_summary_the_raw_json_and_a_sub_organizations_campaign(
    stdio_server: Callable[..., StdioServerParameters],
) -> None:
    async with Client(stdio_client(stdio_server())) as client:
        listed = await client.list_tools()
        result = await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})
        there = await client.call_tool(
            "get_campaign", {"campaign_id": SAMPLE_IN_SUB_ORGANIZATION, "sub_organization_id": SUB_ORGANIZATION_ID}
        )
        elsewhere = await client.call_tool("get_campaign", {"campaign_id": SAMPLE_IN_SUB_ORGANIZATION})

    wire = listed.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert wire["tools"] == [json.loads(SNAPSHOT.read_text(encoding="utf-8"))]
    assert len(json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode()) <= 3_500

    assert not result.is_error
    assert result.structured_content
    summary, raw = result.structured_content["summary"], result.structured_content["raw"]
    assert (summary["id"], summary["status"], summary["direction"]) == (SAMPLE_ID, "running", "outbound")
    assert summary["attention"] == summary["worth_checking"] == []
    assert raw["callParams"]["phonesFrom"] == ["+442071838750", "+4930901820"]
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    assert texts[0].splitlines()[0] == summary["headline"]
    assert json.loads(texts[1]) == raw

    assert there.structured_content
    assert there.structured_content["summary"]["sub_organization_id"] == SUB_ORGANIZATION_ID
    assert elsewhere.is_error
    assert elsewhere.meta
    assert elsewhere.meta["callers-mcp/error"]["kind"] == "not_found"
