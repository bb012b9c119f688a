"""What is told of each look-up, to a log, an audit file or metrics."""

import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)

LIST = "list"
"""Stands for the campaign's id where the list of them was asked for."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """One look-up that has ended.

    Attributes:
        caller: Who asked, see ``Caller.name``.
        campaign_id: Which campaign, 24 hexadecimal digits; or ``LIST``.
        place: Where: a sub-organization's id or ``main``, also where that was refused; ``default`` where the call named
            none, and was refused before it was known which.
        outcome: ``found``, ``cancelled``, or the kind of the error.
        seconds: How long the caller waited.
        attempts: How many requests the API was sent for it.
        shared: Whether it joined a request that another look-up had begun.
        request_id: Stands in the caller's error, and went to the API as ``X-Request-Id``.
    """

    caller: str
    campaign_id: str
    place: str
    outcome: str
    seconds: float
    attempts: int
    shared: bool
    request_id: str


class Observer:
    """Told of what happens; this one writes a line to the log."""

    def began(self) -> None:
        """Take note of a look-up that begins."""

    def ended(self, look_up: LookUp) -> None:
        """Take note of a look-up that ended."""
        logger.info(
            "look-up: campaign=%s sub_organization=%s outcome=%s attempts=%d milliseconds=%d request=%s",
            look_up.campaign_id,
            look_up.place,
            look_up.outcome,
            look_up.attempts,
            look_up.seconds * 1000,
            look_up.request_id,
        )

    def asked(self, seconds: float) -> None:
        """Take note of an HTTP request to the API that ended, however, after ``seconds``."""
