"""A token file, an audit file and an API. Use them for tests of a hosted server that accepts tokens."""

import json
from pathlib import Path

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth import token_store
from tests.support.constants import KEY
from tests.support.fault_server import FaultServer


class Team:
    """The configuration of a hosted server for a team.

    Args:
        folder: The folder for the files.
        api: The API that the server uses.

    Attributes:
        token_file: The file with the digests of the tokens.
        audit_file: The file to which the server writes its audit log.
        tokens: The tokens, by name.
        environment: The ``CALLERS_*`` variables of the server.
    """

    def __init__(self, folder: Path, api: FaultServer) -> None:
        self.token_file, self.audit_file = folder / "tokens.json", folder / "audit.jsonl"
        self.tokens: dict[str, str] = {}
        self.environment = {
            "CALLERS_API_KEY": KEY,
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_HTTP_AUTH": "tokens",
            "CALLERS_HTTP_TOKEN_FILE": str(self.token_file),
            "CALLERS_HTTP_AUDIT_FILE": str(self.audit_file),
            "CALLERS_LOG_LEVEL": "DEBUG",
        }

    def add(self, name: str, *places: str) -> str:
        """Add a token that may see ``places``, and return it."""
        self.tokens[name] = token_store.add(self.token_file, name, AllowedOrganizations.parse(places))
        return self.tokens[name]

    def audit(self) -> list[dict[str, object]]:
        """Return the entries of the audit log so far."""
        lines = self.audit_file.read_text().splitlines() if self.audit_file.exists() else []
        return [json.loads(line) for line in lines]
