"""Times as the API may write them, and what can't be true of them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from callers_mcp.api.request import OBJECT_ID

_CLOCK_TOLERANCE = timedelta(minutes=5)  # between the API's clock and this one
_FIRST_YEAR = 2000  # no campaign is older
_EPOCH_SECONDS = range(946_684_800, 4_102_444_800)  # the years 2000 to 2099
_ZERO_TIMES = (datetime.min, datetime(1970, 1, 1))  # what some systems send for "no time"
# A date without a time begins first in UTC+14, before its midnight in UTC, and ends last in UTC-12, after it.
_DATE_BEGINS, _DATE_ENDS = timedelta(hours=14), timedelta(hours=36)


@dataclass(slots=True)
class Timestamp:
    """A time as the API sent it.

    Attributes:
        present: Whether there is a value at all, readable or not.
        at: The time in UTC, or ``None`` if it can't be read or can't be true. Of a date without a time it is midnight.
        is_date: Whether it is a date without a time.
        problem: What is wrong with it; empty if nothing is.
        hint: How it was read, if that is not certain; otherwise empty.
    """

    present: bool = False
    at: datetime | None = None
    is_date: bool = False
    problem: str = ""
    hint: str = ""

    def is_before(self, other: "Timestamp") -> bool:
        """Return whether this is certainly before ``other``: a date without a time may be of any time zone."""
        if self.at is None or other.at is None:
            return False
        margin = timedelta() if self.is_date == other.is_date else _DATE_ENDS if self.is_date else _DATE_BEGINS
        return other.at - self.at > margin

    def is_in_future(self, now: datetime) -> bool:
        """Return whether this is after ``now``, by more than clocks differ."""
        return Timestamp(True, now + _CLOCK_TOLERANCE).is_before(self)

    def days_until(self, now: datetime) -> int | None:
        """Return the full days (24 hours) until ``now``, from a date the calendar days; ``None`` in the future."""
        if self.at is None or self.is_in_future(now):
            return None
        return max(0, (now.astimezone(UTC).date() - self.at.date() if self.is_date else now - self.at).days)

    def __str__(self) -> str:
        """Return it in ISO 8601; an empty text if it is unknown."""
        if self.at is None:
            return ""
        if self.is_date:
            return str(self.at.date())
        return self.at.isoformat(timespec="milliseconds" if self.at.microsecond else "seconds").replace("+00:00", "Z")


def parse_time(value: str | float, made_at: datetime | None) -> Timestamp | None:
    """Parse a time: ISO 8601 as ``datetime.fromisoformat`` reads it, or whole seconds or milliseconds since 1970.

    Args:
        value: What the API sent.
        made_at: When the campaign was made, if that is known: no time of it can be earlier.

    Returns:
        The time; ``None`` if ``value`` is a number that is no time.
    """
    text = value.strip() if isinstance(value, str) else ""
    if value == 0 or (isinstance(value, str) and text in ("", "0")) or text.startswith("0000-00-00"):
        return Timestamp()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) or (text.isascii() and text.isdecimal() and 9 <= len(text) <= 15):
        timestamp = _parse_epoch(int(value))
    else:
        timestamp = _parse_iso(text) if text else None
    if timestamp is None:
        return Timestamp(True, problem="can't be read") if text else None
    if timestamp.at and timestamp.at.year < _FIRST_YEAR:
        timestamp.problem = f"is before the year {_FIRST_YEAR}, which can't be true"
    elif timestamp.is_before(Timestamp(True, made_at)):
        timestamp.problem = "is before the campaign was made, which can't be true"
    if timestamp.problem:
        timestamp.at, timestamp.hint = None, ""
    return timestamp


def object_id_time(campaign_id: str, now: datetime) -> datetime | None:
    """Return when an ObjectId was made, to the second; ``None`` if it is not one, or says what can't be true."""
    seconds = int(campaign_id[:8], 16) if OBJECT_ID.fullmatch(campaign_id) else 0
    at = datetime.fromtimestamp(seconds, UTC)
    return at if seconds in _EPOCH_SECONDS and at <= now else None


def _parse_epoch(number: int) -> Timestamp | None:
    for unit, per_second in (("seconds", 1), ("milliseconds", 1000)):
        seconds, rest = divmod(number, per_second)
        if seconds in _EPOCH_SECONDS:
            at = datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=rest)
            return Timestamp(True, at, hint=f"is a number; it was read as {unit} since 1970")
    return None


def _parse_iso(text: str) -> Timestamp | None:
    is_date = True
    try:
        at = datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        is_date = False
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
    hint = "" if at.tzinfo else "has no offset; it was read as UTC"
    try:
        utc = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError:
        utc = None
    if at.replace(tzinfo=None) in _ZERO_TIMES or (utc and utc.replace(tzinfo=None) in _ZERO_TIMES):
        return Timestamp()
    return Timestamp(True, utc, is_date, hint=hint) if utc else None
