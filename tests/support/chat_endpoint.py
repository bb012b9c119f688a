"""An OpenAI-compatible endpoint on loopback, and what its model says, for tests of the evaluation."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]

ENDPOINT_KEY = "sk-the-key-of-the-endpoint"


@contextmanager
def endpoint(*replies: Callable[[list[Message]], Message] | int | bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve chat completions; the nth request gets the nth reply, the last one repeats. Also yields the requests."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(json.loads(body) | {"path": self.path, "key": self.headers["Authorization"]})
            reply = replies[min(len(asked), len(replies)) - 1]
            content, status = b'{"error": {"message": "\\u0007no, not with %s"}}' % ENDPOINT_KEY.encode(), 200
            if isinstance(reply, int):
                status = reply
            elif isinstance(reply, bytes):
                content = reply
            else:
                choice = {"index": 0, "finish_reason": "stop", "message": reply(asked[-1]["messages"])}
                usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 7, "total_tokens": len(body) // 4 + 7}
                content = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def calling(arguments: str, tool: str = "get_campaign") -> Message:
    """Return a message that calls a tool."""
    call = {"id": "a", "type": "function", "function": {"name": tool, "arguments": arguments}, "extra": "kept"}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def saying(text: str) -> Message:
    """Return a message with text."""
    return {"role": "assistant", "content": text}
