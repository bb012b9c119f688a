"""Reading of JSON-RPC messages, for stdio and HTTP: which are refused, and with which code and sentence."""

import json
import logging
from typing import Any

import mcp_types as types
from pydantic import ValidationError
from pydantic_core import from_json

logger = logging.getLogger(__name__)

_NOT_JSON = "Parse error: the message is not UTF-8 JSON, or it is nested too deeply."
_NOT_JSON_RPC = "Invalid message: it is not one JSON-RPC 2.0 request, notification or response."


class InvalidMessage(Exception):
    """A message that can't be dispatched.

    Attributes:
        response: The JSON-RPC error that answers it, with its id if that can be read.
    """

    def __init__(self, code: int, message: str, request_id: types.RequestId | None) -> None:
        super().__init__(message)
        error = types.ErrorData(code=code, message=message)
        self.response = types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
        logger.warning("a message was refused: %s", message)


def parse_message(text: bytes) -> types.JSONRPCMessage:
    """Parse one message.

    Raises:
        InvalidMessage: It is not JSON, or not a single message of JSON-RPC 2.0. This was logged.
    """
    try:
        # This refuses lone surrogates, with which the SDK would fail when it responds.
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise InvalidMessage(types.PARSE_ERROR, _NOT_JSON, _request_id(_parse_leniently(text))) from None
    try:
        # The adapter would take a request with a wrong id as a notification.
        if isinstance(value, dict) and "method" in value:
            kind = types.JSONRPCRequest if "id" in value else types.JSONRPCNotification
            return kind.model_validate(value, by_name=False)
        return types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError:
        raise InvalidMessage(types.INVALID_REQUEST, _NOT_JSON_RPC, _request_id(value)) from None


def _parse_leniently(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _request_id(value: Any) -> types.RequestId | None:
    """Return the id in a message that was refused, if a response can repeat it."""
    request_id = value.get("id") if isinstance(value, dict) else None
    if isinstance(request_id, str):
        return None if any("\ud800" <= character <= "\udfff" for character in request_id) else request_id
    return request_id if type(request_id) is int else None
