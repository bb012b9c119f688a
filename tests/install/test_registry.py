"""The registry of hosts has the path of each configuration on each system, as the host's documentation states it."""

from pathlib import Path

import pytest

from callers_mcp.install.registry import HOSTS, Platform
from tests.support.install_home import CONFIGURATIONS, EDITED, realistic

HOME = Path("/users/ana")
ON_EACH_SYSTEM = {
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "codex": ".codex/config.toml",
    "gemini-cli": ".gemini/settings.json",
    "opencode": ".config/opencode/opencode.json",
    "qwen-code": ".qwen/settings.json",
    "copilot-cli": ".copilot/mcp-config.json",
    "cline": ".cline/data/settings/cline_mcp_settings.json",
    "lm-studio": ".lmstudio/mcp.json",
    "kiro": ".kiro/settings/mcp.json",
    "amp": ".config/amp/settings.json",
    "kilo-code": ".config/kilo/kilo.jsonc",
    "warp": ".warp/.mcp.json",
    "auggie": ".augment/settings.json",
    "visual-studio": ".mcp.json",
    "mistral-vibe": ".vibe/config.toml",
    "antigravity": ".gemini/config/mcp_config.json",
    "junie": ".junie/mcp/mcp.json",
    "crush": ".config/crush/crushrc",
}
PATHS = {
    "darwin": ON_EACH_SYSTEM
    | {
        "claude-desktop": "Library/Application Support/Claude/claude_desktop_config.json",
        "vscode": "Library/Application Support/Code/User/mcp.json",
        "zed": ".config/zed/settings.json",
        "devin-desktop": ".config/devin/mcp_config.json",
        "goose": ".config/goose/config.yaml",
    },
    "win32": ON_EACH_SYSTEM
    | {
        "claude-desktop": "AppData/Roaming/Claude/claude_desktop_config.json",
        "vscode": "AppData/Roaming/Code/User/mcp.json",
        "zed": "AppData/Roaming/Zed/settings.json",
        "devin-desktop": "AppData/Roaming/devin/mcp_config.json",
        "goose": "AppData/Roaming/Block/goose/config/config.yaml",
    },
    "linux": ON_EACH_SYSTEM
    | {
        "claude-desktop": ".config/Claude/claude_desktop_config.json",
        "vscode": ".config/Code/User/mcp.json",
        "zed": ".config/zed/settings.json",
        "devin-desktop": ".config/devin/mcp_config.json",
        "goose": ".config/goose/config.yaml",
    },
}


@pytest.mark.parametrize("platform", PATHS)
def test_each_configuration_has_the_path_that_the_host_documents(platform: str) -> None:
    found = {name: host.config(Platform(platform, {}, HOME)) for name, host in HOSTS.items()}
    assert found == {name: HOME / path for name, path in PATHS[platform].items()}


@pytest.mark.parametrize(
    ("host", "platform", "variable", "path"),
    [
        ("claude-desktop", "linux", "XDG_CONFIG_HOME", "Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "APPDATA", "Claude/claude_desktop_config.json"),
        ("vscode", "linux", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("vscode", "win32", "APPDATA", "Code/User/mcp.json"),
        ("claude-code", "linux", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "darwin", "CODEX_HOME", "config.toml"),
        ("gemini-cli", "linux", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("opencode", "darwin", "XDG_CONFIG_HOME", "opencode/opencode.json"),
        ("qwen-code", "linux", "QWEN_HOME", "settings.json"),
        ("copilot-cli", "linux", "COPILOT_HOME", "mcp-config.json"),
        ("cline", "linux", "CLINE_MCP_SETTINGS_PATH", ""),
        ("zed", "linux", "XDG_CONFIG_HOME", "zed/settings.json"),
        ("zed", "win32", "APPDATA", "Zed/settings.json"),
        ("devin-desktop", "linux", "XDG_CONFIG_HOME", "devin/mcp_config.json"),
        ("devin-desktop", "win32", "APPDATA", "devin/mcp_config.json"),
        ("goose", "win32", "APPDATA", "Block/goose/config/config.yaml"),
        ("crush", "linux", "XDG_CONFIG_HOME", "crush/crushrc"),
        ("amp", "darwin", "XDG_CONFIG_HOME", "amp/settings.json"),
    ],
)
def test_a_variable_of_the_system_or_host_moves_the_configuration(
    tmp_path: Path, host: str, platform: str, variable: str, path: str
) -> None:
    moved = Platform(platform, {variable: str(tmp_path)}, HOME)
    assert HOSTS[host].config(moved) == tmp_path / path
    for invalid in ("", "not/absolute"):
        assert HOSTS[host].config(Platform(platform, {variable: invalid}, HOME)) == HOME / PATHS[platform][host]


def test_claude_desktop_from_the_microsoft_store_has_its_own_folder(tmp_path: Path) -> None:
    package = tmp_path / "Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming"
    package.mkdir(parents=True)
    (tmp_path / "Packages/Another_1/LocalCache/Roaming").mkdir(parents=True)
    system = Platform("win32", {"LOCALAPPDATA": str(tmp_path)}, HOME)
    assert HOSTS["claude-desktop"].config(system) == package / "Claude/claude_desktop_config.json"


@pytest.mark.parametrize(("host", "file"), [("opencode", "opencode/opencode.jsonc"), ("amp", "amp/settings.jsonc")])
def test_the_file_that_the_host_already_has_is_used(tmp_path: Path, host: str, file: str) -> None:
    path = tmp_path / ".config" / file
    path.parent.mkdir(parents=True)
    path.touch()
    assert HOSTS[host].config(Platform("linux", {}, tmp_path)) == path


def test_each_host_has_a_source_and_a_realistic_configuration() -> None:
    for name, host in HOSTS.items():
        assert host.source.startswith("https://")
        assert host.read.year >= 2026
        assert host.by_hand or realistic(name)
    assert len({host.source for host in HOSTS.values()}) == len(HOSTS)
    assert len(EDITED) == len(list(CONFIGURATIONS.iterdir()))
