"""The campaign card: an MCP App that hosts draw beside an answer, and the same as a page that opens by itself.

One self-contained document without network: its policy allows the one script and the one style in it, by their hashes.
What draws it, ``card.js``, makes text nodes alone of what strangers wrote. The server names the card at its
start, so nothing is imported here that only a card needs.
"""

import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from callers_mcp import __version__

CARD_URI = "ui://callers/campaign-card"
CARD_MIME_TYPE = "text/html;profile=mcp-app"

_FOLDER = Path(__file__).parent
_placeholder = re.compile(r"\{\{(\w+)\}\}")
# Nothing of what strangers wrote may end the script element, or begin a comment in it.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@cache
def card_html() -> str:
    """Return the card for a host: a document that speaks the protocol of MCP Apps."""
    return _document("host.js", title="Callers campaign", data="")


def card_page(results: Sequence[Mapping[str, Any]], title: str = "Callers campaigns") -> str:
    """Return a page that shows ``results``, one card under the other, and needs neither host nor network.

    Args:
        results: The structured content of each look-up: ``summary`` and ``raw``.
        title: The page's title, and its heading where there are several cards.
    """
    import html

    embedded = json.dumps(list(results), separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
    data = f'<script type="application/json" id="answers">{embedded}</script>\n'
    return _document("page.js", title=html.escape(title), data=data)


def write_page(path: Path, page: str) -> None:
    """Put ``page`` at ``path`` in one step, readable for this user alone: a campaign's URLs can be credentials.

    Raises:
        OSError: It can't be written there; what stood there before stays.
    """
    import tempfile

    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is there, and is no regular file")
    file = Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")  # for this user alone
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(page)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _document(last_script: str, *, title: str, data: str) -> str:
    """Put the document together, each mark replaced once: what is put in is not searched for marks again."""
    style = _asset("card.css")
    script = _fill_template("".join(map(_asset, ("card.js", "raw.js", last_script))), {"version": __version__})
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    values = {"policy": policy, "style": style, "script": script, "title": title, "data": data}
    return _fill_template(_asset("card.html"), values)


def _fill_template(template: str, values: Mapping[str, str]) -> str:
    return _placeholder.sub(lambda placeholder: values[placeholder[1]], template)


def _asset(name: str) -> str:
    """Return a file of the package without indentation and comment lines, and with the line ends a browser hashes."""
    lines = (line.strip() for line in (_FOLDER / name).read_text("utf-8").splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(("//", "/*")))


def _hash(text: str) -> str:
    import base64
    import hashlib

    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
