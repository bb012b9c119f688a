"""The reasons to refuse a request before it reaches a tool, each with its HTTP status.

::

    HttpRejection
    ├── Unauthenticated      401: no token, or an invalid one
    ├── InsufficientScope    403: a valid token without the required scope
    ├── IssuerUnavailable    503: the token can't be checked now
    ├── UntrustedProxy       403: forwarded by a proxy that is not configured
    └── InsecureTransport    403: sent unencrypted, and not by a trusted proxy
"""

from typing import ClassVar

REASONS = (
    *("missing", "malformed", "unknown", "expired", "not_yet", "issuer", "audience", "claims", "subject", "type"),
    *("too_long", "signature", "algorithm", "unknown_key", "scope", "issuer_unavailable", "forwarded", "plain_http"),
)
"""All values of ``HttpRejection.reason``."""


class HttpRejection(Exception):
    """A refused request.

    Attributes:
        status: The HTTP status.
        error: The error code of RFC 6750, section 3.1; ``None`` if no token was sent.
        description: One sentence for people; it contains no part of the token.
        reason: Why it was refused, for the log and the metrics; one of ``REASONS``.
        retry_after_seconds: When to try again; ``None`` if that can't help.
    """

    status: ClassVar[int]
    error: str | None = None

    def __init__(self, description: str, *, reason: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Unauthenticated(HttpRejection):
    """No token was sent, or it is not valid."""

    status = 401

    def __init__(self, description: str, *, reason: str) -> None:
        super().__init__(description, reason=reason)
        self.error = None if reason == "missing" else "invalid_token"


class InsufficientScope(HttpRejection):
    """The token is valid, but does not have the required scope."""

    status = 403
    error = "insufficient_scope"


class IssuerUnavailable(HttpRejection):
    """The issuer's keys can't be fetched now, so its tokens can't be checked."""

    status = 503
    error = "temporarily_unavailable"


class UntrustedProxy(HttpRejection):
    """The request came through a proxy, but ``CALLERS_HTTP_AUTH`` is not set, so no proxy is expected."""

    status = 403
    error = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "This server does not accept forwarded requests. Its operator must set CALLERS_HTTP_AUTH before putting a "
            "proxy in front of it.",
            reason="forwarded",
        )


class InsecureTransport(HttpRejection):
    """The request came unencrypted, and not from the proxy that provides TLS."""

    status = 403
    error = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "This server accepts plain http only from the proxies in CALLERS_HTTP_TRUSTED_PROXIES; use its https URL.",
            reason="plain_http",
        )
