"""The formats of hosts' configurations, and the error for a configuration that can't be edited."""

from enum import StrEnum


class Format(StrEnum):
    """The format of a configuration. JSON may have comments and trailing commas."""

    JSON = "json"
    TOML = "toml"


class UnreadableConfig(ValueError):
    """The configuration can't be edited safely. The message quotes none of its content except keys of the path."""
