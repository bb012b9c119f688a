"""Time zones by their IANA names."""

import re
from datetime import tzinfo
from zoneinfo import ZoneInfo

_zone_name = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")


def find_zone(name: str | None) -> tzinfo | None:
    """Return the IANA time zone ``name``, or ``None`` if there is no such zone."""
    if not name or not _zone_name.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a zone file; a directory of zones
        return None
