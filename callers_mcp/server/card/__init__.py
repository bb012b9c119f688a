"""The campaign card: an MCP App that hosts show with a result, and the same as a page that opens without a host.

The card is one document that needs no network. Its policy allows only its own script and style, by their hashes.
``card.js`` draws it, and turns untrusted text only into text nodes. The server imports this module at its start, so
imports that only a card needs are inside the functions.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from callers_mcp import __version__
from callers_mcp.sanitize import ESCAPED

CARD_URI = "ui://callers/campaign-card"
CARD_MIME_TYPE = "text/html;profile=mcp-app"

_FOLDER = Path(__file__).parent
_placeholder = re.compile(r"\{\{(\w+)\}\}")
# Untrusted text must not close the script element, or begin a comment in it.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@cache
def card_html() -> str:
    """Return the card for a host: a document that uses the MCP Apps protocol."""
    return _document("host.js", title="Callers campaign", data="")


def card_page(results: Sequence[Mapping[str, Any]], title: str = "Callers campaigns") -> str:
    """Return a page that shows one card for each of ``results``. It needs neither a host nor the network.

    Args:
        results: The structured content of each look-up: ``summary`` and ``raw``.
        title: The page's title, and also its heading if there are several cards.
    """
    import html

    embedded = json.dumps(list(results), separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
    data = f'<script type="application/json" id="answers">{embedded}</script>\n'
    return _document("page.js", title=html.escape(title), data=data)


def _document(last_script: str, *, title: str, data: str) -> str:
    """Assemble the document. Each placeholder is replaced once; inserted text is not searched for placeholders."""
    style = _asset("card.css")
    assets = "".join(map(_asset, ("card.js", "raw.js", last_script)))
    script = _fill_template(assets, {"version": __version__, "invisible": _javascript_pattern(ESCAPED.pattern)})
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    values = {"policy": policy, "style": style, "script": script, "title": title, "data": data}
    return _fill_template(_asset("card.html"), values)


def _javascript_pattern(pattern: str) -> str:
    """Return a regular expression in printable ASCII, for JavaScript's flag ``u``."""
    return "".join(one if " " <= one <= "~" else f"\\u{{{ord(one):x}}}" for one in pattern)


def _fill_template(template: str, values: Mapping[str, str]) -> str:
    return _placeholder.sub(lambda placeholder: values[placeholder[1]], template)


def _asset(name: str) -> str:
    """Return a file of the package without indentation and comment lines, with the line ends that a browser hashes."""
    lines = (line.strip() for line in (_FOLDER / name).read_text("utf-8").splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(("//", "/*")))


def _hash(text: str) -> str:
    import base64
    import hashlib

    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
