"""Behaviours of a ``FaultServer`` that has a campaign for every id. Use them for tests with many look-ups."""

import threading
from typing import Any

from tests.support import fault_server as fault
from tests.support.fault_server import Behaviour, Exchange
from tests.support.http_connection import Answer


def campaign_id(number: int) -> str:
    return f"{number:024x}"


def echo(exchange: Exchange) -> None:
    """Answer with a campaign that has the requested id."""
    fault.answer({"id": exchange.request.target.rpartition("/")[2], "name": "Echo"})(exchange)


def returned_id(answer: Answer) -> Any:
    """Return the id of the campaign in the answer to a successful look-up."""
    return answer.result["structuredContent"]["raw"]["id"]


class Hold:
    """A behaviour that answers after the test sets ``release``, unless the client disconnects first.

    Attributes:
        release: The event after which it answers.
        left: The number of clients that disconnected.
    """

    def __init__(self, then: Behaviour = echo) -> None:
        self.release, self.left, self._then = threading.Event(), 0, then

    def __call__(self, exchange: Exchange) -> None:
        while not self.release.wait(0.02):
            if exchange.server.stopping.is_set():
                return
            if exchange.peer_left():
                self.left += 1
                return
        self._then(exchange)
