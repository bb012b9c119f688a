"""The events of a look-up, for a log, an audit file or metrics."""

import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)

CAMPAIGN_LIST = "list"
"""In place of a campaign's id: the list of campaigns was requested."""


@dataclass(frozen=True, slots=True)
class LookupEvent:
    """One look-up that has ended.

    Attributes:
        principal: On whose behalf, see ``Principal.name``.
        campaign_id: Which campaign, 24 hexadecimal digits; or ``CAMPAIGN_LIST``.
        organization: A sub-organization's id or ``main``, also if access to it was refused; ``default`` if the call
            named none and was refused before it was resolved.
        outcome: ``found``, ``cancelled``, or the kind of the error.
        seconds: How long the caller waited.
        attempts: How many requests the API was sent for it.
        shared: Whether it joined a request that another look-up had begun.
        request_id: Stands in the caller's error, and went to the API as ``X-Request-Id``.
    """

    principal: str
    campaign_id: str
    organization: str
    outcome: str
    seconds: float
    attempts: int
    shared: bool
    request_id: str


class Observer:
    """Receives the events; this one writes a line to the log."""

    def on_lookup_started(self) -> None:
        """Note that a look-up begins."""

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Note that a look-up ended."""
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
        """Note that an HTTP request to the API ended, well or not, after ``seconds``."""
