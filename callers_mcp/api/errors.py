"""The errors of a look-up, with a message for a model and one for a person at the command line.

::

    CallersError
    ├── InvalidArguments       the call's arguments are wrong
    ├── NotConfigured          the operator has to set something
    ├── Unauthorized           401: the API refused the key
    ├── Forbidden              403, or an organization that the settings do not allow
    ├── CampaignNotFound       404
    ├── Rejected               another 4xx, or an error under a status of success
    ├── RateLimited            429
    ├── Unavailable            408, 5xx
    ├── Unreachable            no connection, or one that broke
    ├── DeadlineExceeded       the look-up took too long
    ├── UnexpectedResponse     the answer is not a campaign
    └── InternalError          a bug in callers-mcp

A message is one or two sentences: what happened, whether a retry can help, and what to do next. It never contains the
key, a header, a stack trace or an internal address. Text from the API is cleaned and truncated before it is quoted.
"""

import logging
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Advice:
    """A part of a message, in the words for each of its two readers.

    Attributes:
        for_model: For the model that made the call: what the operator or the user has to do.
        for_person: For the person at the command line, who is the operator and the user.
    """

    for_model: str
    for_person: str

    @classmethod
    def check(cls, what: str, before: str = "") -> "Advice":
        """Return the advice to check ``what``, such as a setting; ``before`` is the beginning of the sentence."""
        if before:
            return cls(f"{before} the operator checks {what}.", f"{before} check {what}.")
        return cls(f"The operator checks {what}.", f"Check {what}.")


class CallersError(Exception):
    """A look-up failed.

    Args:
        parts: The parts of the message, in order; an ``Advice`` where a model and a person need different words.
        http_status: The API's status.
        retry_after_seconds: How long the API says to wait.
        transient: Replaces the attribute of the class.

    Attributes:
        kind: What happened, for programs; a stable word.
        retryable: Whether the same call may succeed later.
        transient: Whether the client itself retries within the look-up.
        http_status: The API's status, if it answered.
        retry_after_seconds: How long the API says to wait, if it does.
        attempts: How many requests were made.
        request_id: The ``X-Request-Id`` that was sent to the API; ``None`` if no look-up started.
    """

    kind: ClassVar[str]
    retryable: bool = False
    transient: bool = False

    def __init__(
        self,
        *parts: str | Advice,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(*parts)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.attempts = 0
        self.request_id: str | None = None
        if transient is not None:
            self.transient = transient

    @property
    def message(self) -> str:
        """The message for the model that made the call."""
        return self._joined(part.for_model if isinstance(part, Advice) else part for part in self.args)

    @property
    def message_for_person(self) -> str:
        """The message for the person at the command line."""
        return self._joined(part.for_person if isinstance(part, Advice) else part for part in self.args)

    @property
    def reason(self) -> str:
        """The message of a failed attempt that is followed by another."""
        return self.message

    def _joined(self, parts: Iterable[str]) -> str:
        return " ".join(parts)

    def __str__(self) -> str:
        return self.message

    def details(self) -> dict[str, str | bool | int | float | None]:
        """Return the error for programs: the value of ``callers-mcp/error`` in a result's ``_meta``."""
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
    """The operator has to set or fix a setting; nothing was sent."""

    kind = "not_configured"


class Unauthorized(CallersError):
    """The API refused the key."""

    kind = "unauthorized"


class Forbidden(CallersError):
    """The key may not see this campaign in this organization, or the settings do not allow this organization."""

    kind = "forbidden"


class CampaignNotFound(CallersError):
    """This key can't see such a campaign in this organization."""

    kind = "not_found"


class Rejected(CallersError):
    """The API refused the request and said why."""

    kind = "rejected"


class RateLimited(CallersError):
    """The API, or this server's rate limit, allows fewer requests."""

    kind = "rate_limited"
    retryable = True
    transient = True


class _CountedAttempts(CallersError):
    """An error whose message includes the number of attempts, after its first part, a text."""

    transient = True

    @property
    def reason(self) -> str:
        """The first part of the message: what happened."""
        return str(self.args[0])

    def _joined(self, parts: Iterable[str]) -> str:
        problem, *advice = parts
        attempts = f"{self.attempts} attempts" if self.attempts > 1 else "1 attempt"
        return " ".join([f"{problem} ({attempts}).", *advice])


class Unavailable(_CountedAttempts):
    """The API reports that it can't answer now."""

    kind = "unavailable"
    retryable = True


class Unreachable(_CountedAttempts):
    """There is no connection to the API, or it broke before the answer was complete."""

    kind = "unreachable"
    retryable = True


class DeadlineExceeded(CallersError):
    """The look-up took longer than ``CALLERS_TIMEOUT``."""

    kind = "timeout"
    retryable = True


class UnexpectedResponse(CallersError):
    """The answer is not what was requested, in JSON and within the limits."""

    kind = "unexpected_response"


class InternalError(CallersError):
    """A bug in callers-mcp; the message contains a reference that is also in the log, with the stack trace."""

    kind = "internal"


def internal_error(operation: str) -> InternalError:
    """Log the exception that is being handled, and return an error that reports it without details."""
    reference = secrets.token_hex(4)
    logger.exception("internal error %s in %s", reference, operation)
    if is_installation_gone():
        return InternalError("callers-mcp was upgraded or removed while it ran; restart the host.")
    return InternalError(
        "This is a bug in callers-mcp, not in the call; trying again will hardly help. Report it with "
        f"reference {reference}, which is in the server's log."
    )


def is_installation_gone() -> bool:
    """Return whether a module that was still to be imported, or this one, is not there any more."""
    error = sys.exception()
    while error is not None and not isinstance(error, ImportError):
        error = error.__cause__
    return error is not None or not Path(__file__).exists()


def expected(problem: str, takes: str | Advice) -> str | Advice:
    """Return the message of an invalid argument: the problem, and what the argument takes."""
    if isinstance(takes, Advice):
        return Advice(f"{problem}: it takes {takes.for_model}.", f"{problem}: it takes {takes.for_person}.")
    return f"{problem}: it takes {takes}."
