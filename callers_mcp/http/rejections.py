"""The reasons to refuse a request before it reaches a tool, each with its HTTP status.

::

    HttpRejection
    ├── Unauthenticated      401: no token, or an invalid one
    ├── InsufficientScope    403: a valid token without the required scope
    └── IssuerUnavailable    503: the token can't be checked now
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from mcp_types import INVALID_REQUEST

REASONS = (
    *("missing", "malformed", "unknown", "expired", "not_yet", "issuer", "audience", "claims", "subject", "type"),
    *("too_long", "signature", "algorithm", "unknown_key", "scope", "issuer_unavailable", "forwarded", "plain_http"),
)
"""All values of ``HttpRejection.reason``."""


@dataclass(eq=False)
class HttpRejection(Exception):
    """A refused request.

    Attributes:
        description: One sentence for people; it contains no part of the token.
        status: The HTTP status.
        error: The error code of RFC 6750, section 3.1; ``None`` if no token was sent.
        reason: Why it was refused, for the log and the metrics, one of ``REASONS``; empty for a request that is only
            malformed or too much, which is not counted.
        retry_after_seconds: When to try again; ``None`` if that can't help.
        headers: More headers of the response.
        detail: More for the log.
    """

    description: str
    _: KW_ONLY
    status: int = 400
    error: str | None = None
    reason: str = ""
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""

    def body(self) -> dict[str, Any]:
        """Return the JSON-RPC error that is the body of the response; with a reason, its data has the error code."""
        data = {"data": {"error": self.error or "unauthorized"}} if self.reason else {}
        return {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": self.description, **data}}


@dataclass(eq=False)
class Unauthenticated(HttpRejection):
    """No token was sent, or it is not valid."""

    status: int = 401

    def __post_init__(self) -> None:
        """Set the error code, which RFC 6750 requires only if a token was sent."""
        self.error = None if self.reason == "missing" else "invalid_token"


@dataclass(eq=False)
class InsufficientScope(HttpRejection):
    """The token is valid, but does not have the required scope."""

    status: int = 403
    error: str | None = "insufficient_scope"


@dataclass(eq=False)
class IssuerUnavailable(HttpRejection):
    """The issuer's keys can't be fetched now, so its tokens can't be checked."""

    status: int = 503
    error: str | None = "temporarily_unavailable"
