"""Malformed HTTP and JSON-RPC messages, made from a grammar by a seeded generator.

A message is a good call of one protocol version with one or two things done to it, each at its layer: the value of a
field of the envelope, the text of the body, a header, how the body is framed, the request line, or raw bytes.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from tests.load import odd
from tests.load.client import LATEST, envelope, headers
from tests.load.odd import Change
from tests.load.processes import Target
from tests.support.constants import ID
from tests.support.stdio_process import ENVELOPE

VERSIONS = (LATEST, *HANDSHAKE_PROTOCOL_VERSIONS)
_HOLE = "a hole in the envelope"


@dataclass(frozen=True, slots=True)
class Malformed:
    """One message.

    Attributes:
        name: What was done to it.
        content: What is sent.
        is_whole: Whether it is complete, so that an answer is due.
    """

    name: str
    content: bytes
    is_whole: bool


class Draft:
    """A valid call, to be made invalid."""

    def __init__(self, target: Target, version: str, generator: random.Random, *, with_token: bool) -> None:
        self.random, self.version = generator, version
        self.line = b"POST /mcp HTTP/1.1"
        self.headers = [
            (name.encode(), value.encode())
            for name, value in [*headers(target, version), ("Connection", "close")]
            if with_token or name != "Authorization"
        ]
        self.envelope: dict[str, Any] = envelope(ID, version)
        self.body: bytes | None = None
        self.framing: list[tuple[bytes, bytes]] | None = None
        self.raw: bytes | None = None

    def text(self) -> bytes:
        return json.dumps(self.envelope).encode() if self.body is None else self.body

    def encode(self) -> bytes:
        if self.raw is not None:
            return self.raw
        body = self.text()
        framing = [(b"Content-Length", b"%d" % len(body))] if self.framing is None else self.framing
        lines = [self.line, *(name + b": " + value for name, value in [*self.headers, *framing])]
        return b"\r\n".join([*lines, b"", body])

    def set_line(self, line: bytes) -> None:
        self.line = line

    def set_header(self, name: bytes, values: tuple[bytes, ...]) -> None:
        self.headers = [given for given in self.headers if given[0].lower() != name.lower()]
        self.headers += [(name, value) for value in values]


def _value(draft: Draft, path: tuple[str, ...], text: str | None) -> None:
    """Put raw JSON at a path of the envelope, or remove the value there."""
    inner = draft.envelope
    for step in path[:-1]:
        if not isinstance(inner.get(step), dict):
            inner[step] = {}
        inner[step] = dict(inner[step])
        inner = inner[step]
    if text is None:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = _HOLE
        draft.body = draft.text().replace(json.dumps(_HOLE).encode(), text.encode())


def _method(draft: Draft, method: str, params: dict[str, Any]) -> None:
    meta = {"_meta": ENVELOPE} if draft.version == LATEST else {}
    draft.envelope |= {"method": method, "params": {**params, **meta}}
    if draft.version == LATEST:
        draft.set_header(b"Mcp-Method", (method.encode("utf-8", "replace").replace(b"\n", b" "),))
        draft.set_header(b"Mcp-Name", (str(params.get("name") or params.get("uri") or "").encode(),))


def _duplicate_keys(draft: Draft) -> None:
    text = draft.text()
    draft.body = text[:-1] + b', "id": "other", "method": "ping", "method": "tools/list", "jsonrpc": "1.0"}'


def _raw(draft: Draft, name: str) -> None:
    good, generator = draft.encode(), draft.random
    head, _, body = good.partition(b"\r\n\r\n")
    flood = b"".join(b"\r\nX-Flood-%d: %s" % (number, b"y" * 50) for number in range(3_000))
    draft.raw = {
        "random bytes": generator.randbytes(generator.randrange(1, 3_000)),
        "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + generator.randbytes(500),
        "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        "a SOCKS greeting": b"\x05\x01\x00",
        "a PROXY line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + good,
        "only newlines": b"\r\n" * 2_000,
        "bare newlines": good.replace(b"\r\n", b"\n"),
        "bare returns": good.replace(b"\r\n", b"\r"),
        "a flood of headers": head + flood + b"\r\n\r\n" + body,
        "a huge header": head + b"\r\nX-Huge: " + b"z" * 300_000 + b"\r\n\r\n" + body,
        "a huge header name": head + b"\r\n" + b"z" * 100_000 + b": 1\r\n\r\n" + body,
        "a header without a colon": head + b"\r\nnonsense\r\n\r\n" + body,
        "a space before the colon": head + b"\r\nX-Y : 1\r\n\r\n" + body,
        "an empty header name": head + b"\r\n: 1\r\n\r\n" + body,
        "odd bytes in a header name": head + b"\r\nX-\xff\x00(): 1\r\n\r\n" + body,
        "a folded first header": good.replace(b"\r\n", b"\r\n folded\r\n", 1),
        "the good call, then nonsense": good.replace(b"Connection: close\r\n", b"") + generator.randbytes(200),
        "the good call fifty times at once": good.replace(b"Connection: close\r\n", b"") * 50,
        "one byte of the good call changed": _flip(good, generator),
        "a stretch of the good call taken out": _cut(good, generator),
        "a stretch of the good call doubled": _double(good, generator),
    }[name]


RAW = (
    *("random bytes", "a TLS hello", "the HTTP/2 preface", "a SOCKS greeting", "a PROXY line", "only newlines"),
    *("bare newlines", "bare returns", "a flood of headers", "a huge header", "a huge header name"),
    *("a header without a colon", "a space before the colon", "an empty header name", "odd bytes in a header name"),
    *("a folded first header", "the good call, then nonsense", "the good call fifty times at once"),
    *["one byte of the good call changed", "a stretch of the good call taken out"] * 5,
    *["a stretch of the good call doubled"] * 3,
)


def _flip(good: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(good))
    return good[:at] + generator.randbytes(1) + good[at + 1 :]


def _cut(good: bytes, generator: random.Random) -> bytes:
    start, end = sorted(generator.sample(range(len(good)), 2))
    return good[:start] + good[end:]


def _double(good: bytes, generator: random.Random) -> bytes:
    start, end = sorted(generator.sample(range(len(good)), 2))
    return good[:end] + good[start:]


Spoil = Callable[[Draft], None]


def _body(draft: Draft, change: Change) -> None:
    draft.body = change(draft.text())


def _length(draft: Draft, values: tuple[bytes, ...]) -> None:
    right = b"%d" % len(draft.text())
    draft.framing = [(b"Content-Length", value.replace(b"LENGTH", right)) for value in values]


def _chunks(draft: Draft, change: Change, codings: tuple[bytes, ...] = (b"chunked",), length: bytes = b"") -> None:
    draft.body = change(draft.text())
    draft.framing = [(b"Transfer-Encoding", coding) for coding in codings]
    if length:
        draft.framing.insert(0, (b"Content-Length", length))


def _spoilers() -> list[list[tuple[str, Spoil]]]:
    """Return all changes that can be made to a message, by layer."""
    return [
        [
            (f"{'.'.join(path)}: {name}", partial(_value, path=path, text=text))
            for path in odd.PATHS
            for name, text in [*odd.VALUES.items(), ("absent", None)]
        ],
        [
            (f"method {method[:40]!r}", partial(_method, method=method, params=params))
            for method, params in odd.METHODS.items()
        ],
        [
            *((f"body {name}", partial(_body, change=change)) for name, change in odd.BODIES.items()),
            ("body with duplicated keys", _duplicate_keys),
        ],
        [
            (f"{header.decode()} {name}", partial(Draft.set_header, name=header, values=values))
            for header in odd.HEADERS
            for name, values in odd.HEADER_VALUES.items()
        ],
        [
            *((f"framing: {name}", partial(_length, values=values)) for name, values in odd.LENGTHS.items()),
            *((f"chunks {name}", partial(_chunks, change=change)) for name, change in odd.CHUNKS.items()),
            *(
                (f"coding: {name}", partial(_chunks, change=odd.CHUNKS["good"], codings=codings))
                for name, codings in odd.CODINGS.items()
            ),
            ("a length and chunks", partial(_chunks, change=lambda body: b"0\r\n\r\n" + body, length=b"5")),
        ],
        [(f"request line: {name}", partial(Draft.set_line, line=line)) for name, line in odd.LINES.items()],
        [(f"raw: {name}", partial(_raw, name=name)) for name in RAW],
    ]


def malformed(target: Target, seed: int) -> Iterator[Malformed]:
    """Yield malformed messages without end, for each layer and version, with and without a token."""
    generator = random.Random(seed)
    layers = _spoilers()
    order = [_endless(layer, generator) for layer in layers]
    for layer in itertools.cycle(range(len(layers))):
        version = generator.choice(VERSIONS if generator.random() < 0.5 else (LATEST, HANDSHAKE_PROTOCOL_VERSIONS[-1]))
        has_token = generator.random() < 0.8
        spoilt = [next(order[layer])]
        if generator.random() < 0.3:
            # A second change, of a layer that is applied later, so that it does not undo the first.
            later = generator.randrange(layer, len(layers))
            spoilt.append(next(order[later]))
        draft = Draft(target, version, generator, with_token=has_token)
        for _, spoil in spoilt:
            spoil(draft)
        about = f"{version}{'' if has_token else ' without a token'}"
        yield Malformed(
            f"{' + '.join(name for name, _ in spoilt)} ({about})",
            draft.encode(),
            draft.raw is None and draft.framing is None,
        )


def _endless(layer: list[tuple[str, Spoil]], generator: random.Random) -> Iterator[tuple[str, Spoil]]:
    while True:
        yield from generator.sample(layer, len(layer))
