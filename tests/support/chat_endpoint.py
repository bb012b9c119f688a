"""An OpenAI-compatible endpoint on loopback, and messages of its model. Use it for tests of the evaluation."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]
Reply = Callable[[list[Message]], Message] | int | bytes | tuple[int, bytes] | None

ENDPOINT_KEY = "sk-the-key-of-the-endpoint"


@contextmanager
def endpoint(*replies: Reply) -> Iterator[tuple[str, list[Message]]]:
    """Serve chat completions; yield the URL, and the list of received requests.

    Args:
        replies: The nth request gets the nth reply; the last one repeats. A number is an error status, bytes are a
            body, a pair is both, and a function returns the message for the conversation, which may have the choice's
            ``finish_reason``. With None, no reply is sent as long as the endpoint runs.
    """
    requests: list[Message] = []
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(json.loads(body) | {"path": self.path, "key": self.headers["Authorization"]})
            reply = replies[min(len(requests), len(replies)) - 1]
            content, status = b'{"error": {"message": "\\u0007no, not with %s"}}' % ENDPOINT_KEY.encode(), 200
            if reply is None:
                stopped.wait()
                self.close_connection = True
                return
            if isinstance(reply, int):
                status = reply
            elif isinstance(reply, bytes):
                content = reply
            elif isinstance(reply, tuple):
                status, content = reply
            else:
                message = reply(requests[-1]["messages"])
                reason = message.pop("finish_reason", "stop")
                choice = {"index": 0, "finish_reason": reason, "message": message}
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
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()


def calling(arguments: str, tool: str = "get_campaign") -> Message:
    """Return a message that calls a tool."""
    call = {"id": "a", "type": "function", "function": {"name": tool, "arguments": arguments}, "extra": "kept"}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def saying(text: str) -> Message:
    """Return a message with text."""
    return {"role": "assistant", "content": text}
