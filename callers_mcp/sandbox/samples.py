"""The sample campaigns: one for each typical state. In ``samples.json``, a time is written as how long ago it was."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

ORGANIZATION_ID = "65aa0011223344556677889a"
SUB_ORGANIZATION_ID = "65aa00112233445566778855"
MISSING_ID = "665f1c2ab1e4a9d0c7f3b8ff"
"""An id without a campaign."""
RENEWALS_ID = "65bb0011223344556677889a"
"""The group of the first sample, and of some two dozen generated campaigns."""

Campaign = dict[str, Any]

_FILE = json.loads(Path(__file__).with_name("samples.json").read_text("utf-8"))


def _campaign(sample: Campaign) -> Campaign:
    """Return a sample as the API has it, with times relative to now."""
    defaults = _FILE["defaults"]
    campaign: Campaign = defaults | sample
    campaign["callParams"] = defaults["callParams"] | campaign["callParams"]
    # Rounded to the hour, so that two requests in a row return the same.
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for name in ("firstInteractionAt", "completedAt"):
        if ago := campaign[name]:
            campaign[name] = time_text(hour - timedelta(**ago))
    return campaign


def time_text(at: datetime) -> str:
    """Return a time as the API writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


SAMPLES: Mapping[str, tuple[str | None, Callable[[], Campaign]]] = {
    sample["id"]: (sample.get("organizationId"), partial(_campaign, sample)) for sample in _FILE["samples"]
}
"""By id: the sub-organization of the campaign (``None``: the main organization), and the function that creates it."""


def sample_ids() -> str:
    """Return the samples' ids in one line, for the server's instructions and the not-found message."""
    main = [campaign_id for campaign_id, (sub_organization_id, _) in SAMPLES.items() if sub_organization_id is None]
    inside = [campaign_id for campaign_id, (sub_organization_id, _) in SAMPLES.items() if sub_organization_id]
    return f"{', '.join(main)}; in sub-organization {SUB_ORGANIZATION_ID}: {', '.join(inside)}"


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def as_json(value: object) -> bytes:
    """Return a value as compact JSON in UTF-8, in the form of JavaScript's ``JSON.stringify``."""
    return _encoder.encode(value).encode()
