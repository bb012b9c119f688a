"""Time zones by their IANA names, from the package ``tzdata`` only: the answer is the same on every machine."""

import pkgutil
from functools import cache
from io import BytesIO
from zoneinfo import ZoneInfo


def find_zone(name: str | None) -> ZoneInfo | None:
    """Return the IANA time zone ``name``, in any case, or ``None`` if there is no such zone."""
    known = _names().get(name.lower()) if name else None
    return _load(known) if known else None


@cache
def _names() -> dict[str, str]:
    """Return the names of all zones by their lower-case form. ``Factory`` is not a place; it means "not set"."""
    names = (pkgutil.get_data("tzdata", "zones") or b"").decode().split()
    return {name.lower(): name for name in names if name != "Factory"}


@cache
def _load(name: str) -> ZoneInfo:
    return ZoneInfo.from_file(BytesIO(pkgutil.get_data("tzdata", f"zoneinfo/{name}") or b""), key=name)
