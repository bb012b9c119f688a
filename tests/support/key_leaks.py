"""Every kind of answer of the API that could leak the key, and a search for parts of the key in a text.

Use it to show that an output never contains the key.
"""

from tests.support import fault_server as fault
from tests.support.constants import KEY
from tests.support.fault_server import Behaviour

ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)


MASK = "[API key]"


# Every kind of answer, with the key wherever an API could return it, and the kind of the error.
WALK: dict[str, tuple[Behaviour, str]] = {
    "401": (fault.error(401, f"wrong key {KEY}"), "unauthorized"),
    "403": (fault.error(403, f"not with {KEY}"), "forbidden"),
    "404": (fault.error(404, f"not with {KEY}"), "not_found"),
    "400": (fault.error(400, f"not with {KEY}"), "rejected"),
    "400, escaped": (fault.answer(f'{{"message": "not with {ESCAPED}"}}'.encode(), 400), "rejected"),
    "400, cut in the key": (fault.error(400, "x" * 390 + KEY), "rejected"),
    "400, in pieces": (fault.error(400, ["one", KEY]), "rejected"),
    "an error under 200": (fault.error(200, f"not with {KEY}"), "rejected"),
    "429": (fault.error(429, KEY, [fault.AT_ONCE]), "rate_limited"),
    "429, odd": (fault.error(429, KEY, [("Retry-After", KEY)]), "rate_limited"),
    "503": (fault.error(503, KEY, [fault.AT_ONCE]), "unavailable"),
    "500": (fault.answer(KEY.encode(), 500), "unavailable"),
    "reset": (fault.reset_in_body, "unreachable"),
    "closed": (fault.close_at_once, "unreachable"),
    "redirect to a path": (fault.redirect(302, f"https://elsewhere.example/{KEY}?key={KEY}"), "unexpected_response"),
    "redirect to a host": (fault.redirect(302, f"https://{KEY}.example/"), "unexpected_response"),
    "redirect to a user": (fault.redirect(307, f"https://{KEY}:{KEY}@elsewhere.example/"), "unexpected_response"),
    "a web page": (fault.answer(f"<p>{KEY}".encode(), kind="text/html"), "unexpected_response"),
    "no JSON": (fault.answer(KEY.encode()), "unexpected_response"),
    "JSON text": (fault.answer(KEY), "unexpected_response"),
    "NaN": (fault.answer(f'{{"{KEY}": NaN}}'.encode()), "unexpected_response"),
    "empty": (fault.answer(b""), "unexpected_response"),
    "too large": (fault.answer([KEY] * 100_000), "unexpected_response"),
    "too deep": (fault.answer(b"[" * 200 + f'"{KEY}"'.encode() + b"]" * 200), "unexpected_response"),
    "no HTTP": (fault.says(KEY.encode() + b"\r\n\r\n"), "unexpected_response"),
    "wrong header": (
        fault.says(b"HTTP/1.1 200 OK\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n"),
        "unexpected_response",
    ),
    "broken gzip": (fault.answer(KEY.encode(), headers=[("Content-Encoding", "gzip")]), "unexpected_response"),
}


def secret_parts(text: str) -> list[str]:
    """Return the parts of the key that are in ``text``, in upper or lower case; half of the key is enough."""
    return [part for part in (KEY[:8], KEY[-8:], ESCAPED[:24]) if part.lower() in text.lower()]
