"""Parses JSON, and refuses an object with a field twice: readers differ in which of the two they use."""

import json
from typing import Any


class DuplicateField(ValueError):
    """An object has two fields with the same name."""


def parse(content: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        DuplicateField: An object has a field twice.
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(content, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise DuplicateField
    return fields
