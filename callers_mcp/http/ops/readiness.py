"""Whether a load balancer should send calls here."""

from collections.abc import Callable, Mapping

HealthCheck = Callable[[], str | None]
"""Says in a line what is wrong, or nothing."""


class Readiness:
    """Ready while nothing is wrong and the server is not draining.

    Args:
        checks: What has to be well, by the word that the probe is given. What is wrong in detail stands in the log.

    Attributes:
        draining: Set when the server is asked to end: it still answers, but should be sent no more.
    """

    def __init__(self, checks: Mapping[str, HealthCheck]) -> None:
        self._checks = dict(checks)
        self.draining = False

    def problems(self) -> list[str]:
        """Name what is wrong."""
        return [name for name, check in self._checks.items() if check()] + (["draining"] if self.draining else [])
