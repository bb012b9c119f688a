"""What may be shown of a campaign's URLs, whose paths and queries can hold secrets."""

import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import JsonValue

REDACTED = "[redacted]"
REDACTION_NOTE = f"In raw, webhook and Slack URLs keep scheme and host alone; the rest is {REDACTED}."

_SECRET_FIELDS = ("webhook", "slack")
_joined = re.compile(r"[\t\r\n]")
# Of what is no host's name, nothing is shown: "hooks.example.com&token=..." is one to urlsplit.
_host = re.compile(r"[\w.-]+|[0-9a-f:.]+")


def host_of(url: str) -> str | None:
    """Return a URL's host name in lower case, or ``None`` where it has none.

    Nor has one with a line break or a tab in it: ``urlsplit`` takes those out, which would put together again what was
    masked for not standing there in one piece.
    """
    if _joined.search(url.strip()):
        return None
    try:
        host = urlsplit(url.strip()).hostname
    except ValueError:
        return None
    return host if host and _host.fullmatch(host) else None


def redact_urls(raw: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], bool]:
    """Return ``raw`` with its webhook and Slack URLs redacted, and whether that changed anything.

    Fields are known by their name, at any depth, so that one that the API adds (``webhookUrl``) is covered too; no text
    below them gets through, whatever shape they have.
    """
    redacted = {name: _redact(value, _may_hold_secrets(name)) for name, value in raw.items()}
    return redacted, redacted != raw


def _redact(value: JsonValue, is_secret: bool) -> JsonValue:
    if isinstance(value, str):
        return _redact_url(value) if is_secret and value else value
    if isinstance(value, list):
        return [_redact(member, is_secret) for member in value]
    if isinstance(value, dict):
        redacted: dict[str, JsonValue] = {}
        seen: Counter[str] = Counter()
        for name, member in value.items():
            key = _redact_url(name) if is_secret and "/" in name else name
            seen[key] += 1
            if seen[key] > 1:  # several URLs of one host
                key = f"{key} ({seen[key]})"
            redacted[key] = _redact(member, is_secret or _may_hold_secrets(name))
        return redacted
    return value


def _may_hold_secrets(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_FIELDS)


def _redact_url(url: str) -> str:
    host, scheme = host_of(url), url.strip().partition(":")[0].lower()
    if not host or not scheme.isalpha():
        return REDACTED
    return f"{scheme}://{f'[{host}]' if ':' in host else host}/{REDACTED}"
