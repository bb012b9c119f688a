"""Messages that are not one JSON-RPC 2.0 message, and the error that answers each, over stdio and HTTP alike."""

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600

_DEEP = b'{"a":' * 300 + b"1" + b"}" * 300

INVALID_MESSAGES: list[tuple[bytes, int, int | None]] = [
    (b"not JSON", PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":7,"method":"ping"', PARSE_ERROR, None),
    (b"\xff\xfe", PARSE_ERROR, None),
    (b"[" * 60_000, PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"ping"}', PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"query":"spring \\ud83d"}}', PARSE_ERROR, 7),
    (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"\\ud800":1}}', PARSE_ERROR, 7),
    (b'{"jsonrpc":"2.0","id":7,"method":"x","params":%s}' % _DEEP, PARSE_ERROR, 7),
    (b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % (b"9" * 5000), PARSE_ERROR, None),
    (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":NaN}}', PARSE_ERROR, 7),
    (b"[]", INVALID_REQUEST, None),
    (b"{}", INVALID_REQUEST, None),
    (b"7", INVALID_REQUEST, None),
    (b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]', INVALID_REQUEST, None),
    (b'{"id":7,"method":"ping"}', INVALID_REQUEST, 7),
    (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', INVALID_REQUEST, 7),
    (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', INVALID_REQUEST, None),
    (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}', INVALID_REQUEST, 7),
    (b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}', INVALID_REQUEST, None),
]
"""The message, and the code and the id of its error."""

SENTENCES = {
    PARSE_ERROR: "Parse error: the message is not UTF-8 JSON, or it is nested too deeply.",
    INVALID_REQUEST: "Invalid message: it is not one JSON-RPC 2.0 request, notification or response.",
}


def expected_error(code: int, request_id: int | None) -> dict[str, Any]:
    """Return the error that answers an invalid message."""
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": SENTENCES[code]}}
