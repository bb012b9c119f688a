"""Masking of the API key in texts, also if it is encoded: an error page may quote it as a part of a URL or of HTML."""

import base64
import re
from functools import cached_property, lru_cache
from urllib.parse import quote

from callers_mcp.sanitize import sanitize, strip_invisible

MASK = "[API key]"

_MIN_BASE64_KEY = 8  # characters; what encodes a shorter key could be a part of any text
_HTML_NAMES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_escape = re.compile(
    r"%([0-9a-fA-F]{2})|&#[xX]0{0,4}([0-9a-fA-F]{2});?|\\u00([0-9a-fA-F]{2})"
    r"|&#0{0,4}([0-9]{2,3});?|&(amp|lt|gt|quot|apos);|\\([\"\\/])"
)


class KeyMask:
    """Finds one key in texts, in upper and lower case, because host names are shown in lower case.

    It also finds a key that is percent-encoded, HTML-escaped, JSON-escaped (wholly or in part), or in base64, by
    itself or as Basic authentication.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._base64 = _base64_parts(key.encode()) if len(key) >= _MIN_BASE64_KEY else frozenset()

    def __contains__(self, text: str) -> bool:
        """Return whether the key is in ``text``."""
        if not self._key or len(text) < len(self._key):
            return False
        key = self._key.lower()
        return (
            key in text.lower()
            or any(part in text for part in self._base64)
            or (("%" in text or "&" in text or "\\" in text) and key in _escape.sub(_unescaped, text).lower())
        )

    def sub(self, text: str) -> tuple[str, int]:
        """Return ``text`` with the key masked, and how often it was there."""
        count = 0
        if text in self:
            text, count = self._pattern.subn(MASK, text)
        visible = strip_invisible(text)  # cleaning in a summary can join the parts of a key
        if visible is text or visible not in self:
            return text, count
        visible, hidden_count = self._pattern.subn(MASK, visible)
        return visible, count + hidden_count

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        forms = ["".join(map(_encoded, self._key))]
        if self._base64:
            parts = "|".join(map(re.escape, sorted(self._base64)))
            # With the character before, which encodes a part of the key's first one, and all that follows.
            forms.append(rf"[\w+/-]?(?:{parts})(?:[\w+/-]|%2[bBfF])*(?:=|%3[dD])*")
        return re.compile("|".join(forms), re.ASCII)


key_mask = lru_cache(8)(KeyMask)
"""Returns the mask of a key."""


def mask(text: str, key: str) -> str:
    """Clean ``text`` and mask ``key`` in it. Call it before truncating, so that no part of the key is left."""
    return key_mask(key).sub(sanitize(text))[0]


def _encoded(character: str) -> str:
    """Return a pattern for one character of the key and all that stands for it."""
    forms = []
    for either in {character.lower(), character.upper()}:
        code = f"{ord(either):02x}"
        digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in code)
        forms += [re.escape(either), f"%{digits}", rf"\\u00{digits}"]
        forms += [rf"&#0{{0,4}}{ord(either)};?", rf"&#[xX]0{{0,4}}{digits};?"]
    forms += [f"&{name};" for name, escaped in _HTML_NAMES.items() if escaped == character]
    if character in '"\\/':
        forms.append(re.escape(f"\\{character}"))
    return f"(?:{'|'.join(forms)})"


def _unescaped(escape: re.Match[str]) -> str:
    percent, html_hex, json_hex, html_decimal, html_name, json_character = escape.groups()
    if digits := percent or html_hex or json_hex:
        return chr(int(digits, 16))
    return chr(int(html_decimal)) if html_decimal else json_character or _HTML_NAMES[html_name]


def _base64_parts(key: bytes) -> frozenset[str]:
    """Return what is in each base64 text that encodes ``key`` after 0, 1 or 2 bytes, as in ``user:key``."""
    parts = set()
    for bytes_before in range(3):
        first = -(-bytes_before * 8 // 6)  # the first character that encodes only the key
        end = (bytes_before + len(key)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            part = encode(bytes(bytes_before) + key).decode()[first:end]
            parts |= {part, quote(part, safe=""), part.replace("/", r"\/")}
    return frozenset(parts)
