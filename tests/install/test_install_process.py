"""All steps with real processes: install, start the server from the host's entry, uninstall."""

import sys

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from tests.support.constants import SAMPLE_ID
from tests.support.install_home import Home, mode, realistic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX modes")


@pytest.mark.slow
async def test_the_installed_entry_starts_the_server_and_uninstall_removes_every_trace(
    cursor: Home, sandbox: Sandbox
) -> None:
    """Even with a umask of 0, each file and folder gets the mode that protects it."""
    cursor.config.chmod(0o640)
    code, out, errors = cursor.run_process(
        "install",
        CALLERS_API_KEY=API_KEY,
        CALLERS_BASE_URL=sandbox.base_url,
        CALLERS_ORGANIZATION_ID=ORGANIZATION_ID,
        umask=0,
    )
    assert (code, errors) == (0, "")
    assert out.startswith(f"Installed this server in Cursor ({cursor.config}); the earlier file is kept as ")
    backup = cursor.config.with_name("mcp.json.callers-mcp-backup")
    assert [mode(path) for path in (cursor.config, backup, cursor.key_file)] == [0o640, 0o600, 0o600]
    assert mode(cursor.key_file.parent) == mode(cursor.key_file.parent.parent) == 0o700

    entry = cursor.entry()
    assert entry
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry["env"])
    async with Client(stdio_client(parameters)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_campaign", "find_campaigns"]
        assert not (await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})).is_error

    code, out, errors = cursor.run_process("uninstall")
    assert (code, errors) == (0, "")
    assert out.startswith(f"Removed this server from Cursor ({cursor.config}); the earlier file is kept as ")
    assert out.endswith(f"\nRemoved the key file {cursor.key_file}.\n")
    assert cursor.config.read_bytes() == realistic("cursor")
    assert not cursor.key_file.parent.parent.exists()
