"""Whether a load balancer should send calls here."""

from collections.abc import Callable, Mapping

HealthCheck = Callable[[], str | None]
"""Returns in one line what is wrong; ``None`` if nothing is."""


class Readiness:
    """The server is ready while no check fails and it is not draining.

    Args:
        checks: The checks by name. The probe shows the name of a failed check; the details are only in the log.
        warnings: More checks. The probe shows the name of a failed one, but the server stays ready.

    Attributes:
        draining: Set when the server stops: it still answers, but should get no new calls.
    """

    def __init__(self, checks: Mapping[str, HealthCheck], warnings: Mapping[str, HealthCheck] | None = None) -> None:
        self._checks, self._warnings = checks, warnings or {}
        self.draining = False

    def report(self) -> tuple[dict[str, object], int]:
        """Return the answer to the probe, and its HTTP status."""
        problems, warnings = _failed(self._checks), _failed(self._warnings)
        if self.draining:
            problems.append("draining")
        if problems:
            return {"ready": False, "problems": problems}, 503
        return {"ready": True, **({"warnings": warnings} if warnings else {})}, 200


def _failed(checks: Mapping[str, HealthCheck]) -> list[str]:
    return [name for name, check in checks.items() if check()]
