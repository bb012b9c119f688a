"""The formats of hosts' configurations, and the error of one that can't be edited."""

from enum import StrEnum


class Format(StrEnum):
    """How a configuration is written; JSON may have comments, trailing commas and the rest of JSON5."""

    JSON = "json"
    TOML = "toml"


class UnreadableConfig(ValueError):
    """The configuration can't be edited without a risk to it; the message quotes nothing of it but keys of the path."""
