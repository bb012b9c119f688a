"""The safe parts of a campaign's URLs: their paths and queries can contain secrets."""

import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import JsonValue

from callers_mcp.settings import HOST

REDACTED = "[redacted]"
REDACTION_NOTE = f"In raw, webhook and Slack URLs keep scheme and host only; the rest is {REDACTED}."

_SECRET_FIELDS = ("webhook", "slack")
_line_breaks_and_tabs = re.compile(r"[\t\r\n]")


def host_of(url: str) -> str | None:
    """Return a URL's host name in lower case, or ``None`` if it has none.

    A URL with a line break or a tab counts as one without: ``urlsplit`` removes these characters, and so it could join
    the parts of a secret that masking did not recognize while it was split.
    """
    if _line_breaks_and_tabs.search(url.strip()):
        return None
    try:
        host = urlsplit(url.strip()).hostname
    except ValueError:
        return None
    # Show nothing that is not a valid host name: urlsplit also returns "hooks.example.com&token=..." as a host.
    return host if host and HOST.fullmatch(host) else None


def redact_urls(raw: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], bool]:
    """Return ``raw`` with its webhook and Slack URLs redacted, and whether anything changed.

    Fields are recognized by name at any depth, so a field that the API adds later (``webhookUrl``) is covered too. All
    text below such a field is redacted, whatever its shape.
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
            if seen[key] > 1:  # several URLs with the same host
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
