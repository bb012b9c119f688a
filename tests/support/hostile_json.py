"""JSON of any length that is expensive for a careless reader: elements of a list, and campaigns."""

import json
from collections.abc import Callable

from tests.support.campaigns import campaign

MakeJson = Callable[[int], bytes]
"""Returns JSON of about a length in bytes, or a little longer."""


def repeated(unit: bytes, opening: bytes = b"[", closing: bytes = b"0]") -> MakeJson:
    """Return a function that repeats ``unit`` between ``opening`` and ``closing``."""
    return lambda length: opening + unit * (length // len(unit) + 1) + closing


def numbered(unit: str, opening: bytes = b"[", closing: bytes = b"0]") -> MakeJson:
    """Return a function like ``repeated``, which writes ``unit`` with a number of 8 digits in it."""
    return lambda length: (
        opening + "".join(unit.format(f"{n:08}") for n in range(length // (len(unit) + 6) + 1)).encode() + closing
    )


ELEMENTS: dict[str, MakeJson] = {
    "a long text": repeated(b"x", b'"', b'"'),
    "quotation marks": repeated(b'\\"', b'"', b'"'),
    "backslashes": repeated(b"\\\\", b'"', b'"'),
    "deep, then quotation marks": repeated(b'\\"', b"[" * 1_500 + b'"', b'"' + b"]" * 1_500),
    "only deep": lambda length: b"[" * (length // 2 + 1) + b"]" * (length // 2 + 1),
    "objects, only deep": lambda length: b'{"a":' * (length // 6 + 1) + b"1" + b"}" * (length // 6 + 1),
    "deep and wide": lambda length: b"[1," * (length // 5 + 1) + b"1" + b",1]" * (length // 5 + 1),
    "many lists": repeated(b"[],"),
    "many objects": repeated(b"{},"),
    "many nested lists": repeated(b"[[[[[[[[]]]]]]]],"),
    "many fields": numbered('"{}":0,', b"{", b'"":1}'),
    "one field again": repeated(b'"a":0,', b"{", b'"b":1}'),
    "many numbers": repeated(b"1,"),
    "one long number": repeated(b"9", b"[", b"]"),
    "many texts": repeated(b'"[{",'),
    "lone surrogates": repeated(b"\\ud800", b'{"name":"', b'"}'),
    "bytes that are not UTF-8": repeated(b"\xff", b'{"name":"', b'"}'),
    "blanks": repeated(b" "),
}
"""Elements of a list."""


def _in_campaign(field: str, make: MakeJson) -> MakeJson:
    start = json.dumps(campaign()).encode()[:-1]
    return lambda length: start + b"," + json.dumps(field).encode() + b":" + make(length - len(start)) + b"}"


CAMPAIGNS: dict[str, MakeJson] = {
    "a name of direction marks": _in_campaign("name", repeated("\u202e".encode(), b'"', b'"')),
    "a name of escaped direction marks": _in_campaign("name", repeated(b"\\u202e", b'"', b'"')),
    "a name of tags": _in_campaign("name", repeated("\U000e0041".encode(), b'"', b'"')),
    "many webhooks": _in_campaign("webhooks", repeated(b'"a",', b"[", b'"b"]')),
    "many hosts": _in_campaign("webhooks", numbered('"https://{}.x",', b"[", b'"b"]')),
    "many webhooks that are not https": _in_campaign("webhooks", repeated(b'"http:",', b"[", b'"b"]')),
    "many days": _in_campaign("callParams", numbered('"{}",', b'{"daysOfWeek":[', b'"b"]}')),
    "many variables": _in_campaign("variables", repeated(b'"a",', b"[", b'"b"]')),
    "names that become alike": _in_campaign("x", repeated(b'"\\ud800":0,', b"{", b'"":1}')),
    **{f"extra: {name}": _in_campaign("x", make) for name, make in ELEMENTS.items() if "deep" not in name},
}
"""Single campaigns."""


def list_of(element: bytes) -> bytes:
    """Return a list with an expensive element between two healthy campaigns."""
    healthy = json.dumps(campaign()).encode()
    return b"[" + b",".join([healthy, element, healthy]) + b"]"


def filled(unit: bytes) -> MakeJson:
    """Return a function that returns a list of many equal elements."""
    return lambda length: b"[" + unit * (length // len(unit)) + unit.rstrip(b",") + b"]"


LISTS: dict[str, MakeJson] = {
    **{f"one element: {name}": lambda length, make=make: list_of(make(length)) for name, make in ELEMENTS.items()},  # type: ignore[misc]
    "many short elements": filled(b"1,"),
    "many empty campaigns": lambda length: b"[" + b"{}," * min(length // 168, 99_999) + b"{}]",
    "many deep elements": filled(b"[" * 900 + b"]" * 900 + b","),
    "many campaigns": filled(json.dumps(campaign()).encode() + b","),
    "many long campaigns": filled(CAMPAIGNS["many webhooks"](250_000) + b","),
    "many campaigns with long names": filled(CAMPAIGNS["a name of tags"](250_000) + b","),
    "many campaigns with many fields": filled(ELEMENTS["many fields"](250_000) + b","),
}
"""Whole lists."""
