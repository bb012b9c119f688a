"""The events of a look-up, for a log, an audit file or metrics."""

import logging
import secrets
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

CAMPAIGN_LIST = "list"
"""Replaces the campaign's id if the list of campaigns was requested."""


@dataclass(slots=True)
class LookupEvent:
    """What is known of a look-up: complete when it has finished.

    Attributes:
        principal: The caller, see ``Principal.name``.
        campaign_id: The campaign's id, 24 hexadecimal digits; or ``CAMPAIGN_LIST``.
        organization: A sub-organization's id or ``main``, even if access to it was refused; ``default`` if the call
            named no organization and was refused before the default was resolved.
        outcome: ``found``, ``cancelled``, or the kind of the error.
        seconds: How long the caller waited.
        attempts: How many requests were sent to the API.
        shared: Whether it joined a request that another look-up had started.
        request_id: The ``X-Request-Id`` that was sent to the API; the caller's error contains it too.
    """

    principal: str
    campaign_id: str
    organization: str
    outcome: str = "cancelled"
    seconds: float = 0.0
    attempts: int = 0
    shared: bool = False
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))


class Observer:
    """Receives the events; this class writes each finished look-up to the log."""

    def on_lookup_started(self) -> None:
        """Handle the start of a look-up."""

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Handle the end of a look-up."""
        logger.info(
            "look-up: campaign=%s sub_organization=%s outcome=%s attempts=%d milliseconds=%d request=%s",
            event.campaign_id,
            event.organization,
            event.outcome,
            event.attempts,
            event.seconds * 1000,
            event.request_id,
        )

    def on_api_request(self, seconds: float) -> None:
        """Handle the end of an HTTP request to the API, successful or not, after ``seconds``."""
