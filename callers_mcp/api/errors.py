"""Everything that can go wrong in a look-up, written for the model that reads it.

::

    CallersError
    ├── InvalidArguments       the call's arguments are wrong
    ├── NotConfigured          the operator has to set something
    ├── Unauthorized           401: the API refused the key
    ├── Forbidden              403, or an organization that the settings do not allow
    ├── CampaignNotFound       404
    ├── Rejected               another 4xx, or {"status": "error"}
    ├── RateLimited            429
    ├── Unavailable            408, 5xx
    ├── Unreachable            no connection, or one that broke
    ├── DeadlineExceeded       the look-up took too long
    ├── UnexpectedResponse     something else than a campaign came back
    └── InternalError          a bug of ours

A message is one or two sentences: what happened, whether trying again can help, what to do next. It never holds the
key, a header, a stack trace or an internal address; what it quotes from the API is cleaned and cut before.
"""

from typing import ClassVar, Self


class CallersError(Exception):
    """A look-up that failed.

    Attributes:
        kind: What happened, for machines; a stable word.
        retryable: Whether the same call may succeed later.
        transient: Whether the client itself tries again within the look-up.
        http_status: The API's status, if it answered.
        retry_after_seconds: How long the API asks to wait, if it does.
        attempts: How many requests were made.
        request_id: What the API was sent as ``X-Request-Id``; ``None`` where no look-up began.
    """

    kind: ClassVar[str]
    retryable: bool = False
    transient: bool = False

    def __init__(
        self, message: str, *, http_status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self._message = message
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.attempts = 0
        self.request_id: str | None = None

    @property
    def message(self) -> str:
        """The one or two sentences that the model reads."""
        return self._message

    @property
    def reason(self) -> str:
        """What happened alone, for a caller who is told that another attempt follows."""
        return self._message

    def __str__(self) -> str:
        return self.message

    def copy(self) -> Self:
        """Return the same error for another caller to raise, who adds a traceback of their own."""
        copied = type(self).__new__(type(self), *self.args)
        vars(copied).update(vars(self))
        return copied

    def details(self) -> dict[str, str | bool | int | float | None]:
        """Return the same for machines: the value of ``callers-mcp/error`` in a result's ``_meta``."""
        return {
            "kind": self.kind,
            "retryable": self.retryable,
            "retry_after_seconds": self.retry_after_seconds,
            "http_status": self.http_status,
        }


class InvalidArguments(CallersError):
    """The call's arguments are wrong; nothing was sent."""

    kind = "invalid_arguments"


class NotConfigured(CallersError):
    """The operator has to set or mend a setting; nothing was sent."""

    kind = "not_configured"


class Unauthorized(CallersError):
    """The API refused the key."""

    kind = "unauthorized"


class Forbidden(CallersError):
    """The key may not see this campaign there, or the settings do not allow to look there."""

    kind = "forbidden"


class CampaignNotFound(CallersError):
    """No such campaign is visible to this key, there."""

    kind = "not_found"


class Rejected(CallersError):
    """The API refused the request and said why."""

    kind = "rejected"


class RateLimited(CallersError):
    """The API asks for fewer requests."""

    kind = "rate_limited"
    retryable = True
    transient = True


class _CountedAttempts(CallersError):
    """An error whose message says how often it was tried, and ends with what to do."""

    def __init__(self, problem: str, advice: str, *, http_status: int | None = None, transient: bool = True) -> None:
        super().__init__(problem, http_status=http_status)
        self._advice = advice
        self.transient = transient

    @property
    def message(self) -> str:
        """The one or two sentences that the model reads."""
        attempts = f"{self.attempts} attempts" if self.attempts > 1 else "1 attempt"
        return f"{self._message} ({attempts}). {self._advice}"


class Unavailable(_CountedAttempts):
    """The API answers that it can't answer now."""

    kind = "unavailable"
    retryable = True


class Unreachable(_CountedAttempts):
    """There is no connection to the API, or it broke before the answer was whole."""

    kind = "unreachable"

    def __init__(self, problem: str, advice: str, *, transient: bool = True) -> None:
        super().__init__(problem, advice, transient=transient)
        self.retryable = transient


class DeadlineExceeded(CallersError):
    """The look-up took longer than ``CALLERS_TIMEOUT``."""

    kind = "timeout"
    retryable = True


class UnexpectedResponse(CallersError):
    """The answer is not a JSON object within the limits."""

    kind = "unexpected_response"


class InternalError(CallersError):
    """A bug of ours; the message holds a reference that stands in the log beside the stack trace."""

    kind = "internal"
