"""Why a request is refused before any tool sees it, as the HTTP answer that it gets.

::

    Refusal
    ├── Unauthenticated      401: no token, or one that is not valid
    ├── InsufficientScope    403: a valid token without the scope that is needed
    ├── IssuerUnavailable    503: the token can't be checked now
    ├── Forwarded            403: it came through a proxy that nobody named
    └── PlainHttp            403: it came in the clear, from elsewhere than a named proxy
"""

from typing import ClassVar


class HttpRejection(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        error: The code of RFC 6750, section 3.1; ``None`` where no token was given.
        description: One sentence for people, without the token or anything that was taken from it.
        reason: A short word for the metrics: ``missing``, ``unknown``, ``expired``, ...
        retry_after_seconds: When to try again, where that can help.
    """

    status: ClassVar[int]
    error: str | None = None

    def __init__(self, description: str, *, reason: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Unauthenticated(HttpRejection):
    """No token was given, or it is not valid."""

    status = 401

    def __init__(self, description: str, *, reason: str) -> None:
        super().__init__(description, reason=reason)
        self.error = None if reason == "missing" else "invalid_token"


class InsufficientScope(HttpRejection):
    """The token is valid, but has not the scope that is needed."""

    status = 403
    error = "insufficient_scope"


class IssuerUnavailable(HttpRejection):
    """The issuer's keys can't be had now, so that no token of its can be checked."""

    status = 503
    error = "temporarily_unavailable"


class UntrustedProxy(HttpRejection):
    """The request came through a proxy, and nobody said that one stands in front of this server."""

    status = 403
    error = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "This server takes no forwarded requests: its operator sets CALLERS_HTTP_AUTH before a proxy leads to it.",
            reason="forwarded",
        )


class InsecureTransport(HttpRejection):
    """The request came in the clear, past the proxy that speaks TLS."""

    status = 403
    error = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "This server takes plain http from its proxy alone, which CALLERS_HTTP_TRUSTED_PROXIES names; use its "
            "https URL.",
            reason="plain_http",
        )
