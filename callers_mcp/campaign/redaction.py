"""Taking the secrets out of a campaign's URLs, for operators who set ``CALLERS_REDACT_URLS``."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import JsonValue

REDACTED = "[redacted]"
CHANGE = f"In raw, webhook and Slack URLs keep scheme and host alone; the rest is {REDACTED}."

_SECRETIVE = ("webhook", "slack")


def redact_urls(raw: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], bool]:
    """Return ``raw`` with its webhook and Slack URLs redacted, and whether that changed anything.

    Fields are known by their name, at any depth, so that one that the API adds (``webhookUrl``) is covered too; no text
    below them gets through, whatever shape they have.
    """
    redacted = {name: _redact(value, _is_secretive(name)) for name, value in raw.items()}
    return redacted, redacted != raw


def _redact(value: JsonValue, secretive: bool) -> JsonValue:
    if isinstance(value, str):
        return _redact_url(value) if secretive and value else value
    if isinstance(value, list):
        return [_redact(member, secretive) for member in value]
    if isinstance(value, dict):
        return {name: _redact(member, secretive or _is_secretive(name)) for name, member in value.items()}
    return value


def _is_secretive(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETIVE)


def _redact_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
    except ValueError:
        return REDACTED
    if not host or not parts.scheme:
        return REDACTED
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}/{REDACTED}"
