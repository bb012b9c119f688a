"""Whether a load balancer should send calls here."""

from collections.abc import Callable, Mapping

HealthCheck = Callable[[], str | None]
"""Returns in one line what is wrong; ``None`` if nothing is."""


class Readiness:
    """The server is ready while no check fails and it is not draining.

    Args:
        checks: The checks by name. The probe shows the name of a failed check; the details are only in the log.

    Attributes:
        draining: Set when the server stops: it still answers, but should get no new calls.
    """

    def __init__(self, checks: Mapping[str, HealthCheck]) -> None:
        self._checks = dict(checks)
        self.draining = False

    def problems(self) -> list[str]:
        """Return the names of the failed checks, and ``draining``."""
        return [name for name, check in self._checks.items() if check()] + (["draining"] if self.draining else [])
