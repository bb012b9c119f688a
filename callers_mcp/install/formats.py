"""The formats of hosts' configurations, and the error for a configuration that can't be edited."""

from enum import StrEnum


class Format(StrEnum):
    """The format of a configuration. JSON may have comments, trailing commas and the rest of JSON5."""

    JSON = "json"
    TOML = "toml"


class UnreadableConfig(ValueError):
    """The configuration can't be edited safely. The message quotes none of its content except keys of the path."""
