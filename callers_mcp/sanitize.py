r"""Cleaning and escaping of text that other people wrote.

Names and variables come from anyone who may edit a campaign, and a model reads them. Characters that people can't see
are removed from the summary and made visible in the raw JSON:

==========================================================  ==================  =======================
characters                                                  in the summary      in the raw JSON's text
==========================================================  ==================  =======================
controls: C0, DEL, C1, U+2028, U+2029                       a space             a ``\u`` escape
invisible or direction-changing: Cf, U+E0080 to U+E0FFF,    dropped             a ``\u`` escape
the selectors U+FE00 to U+FE0D
Unicode tags, U+E0000 to U+E007F                            dropped             U+FFFD, in the value too
tags in the flags of England, Scotland and Wales            dropped             stay
the joiners U+200C, U+200D; U+FE0E and U+FE0F               stay                stay
==========================================================  ==================  =======================

Sources: the Unicode category ``Cf``; https://www.unicode.org/reports/tr51/ for the three flags (RGI tag sequences).
"""

import json
import re

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
# The category Cf of Unicode 17 without the two joiners, with the unassigned U+2065 in its middle; the variation
# selectors, a row of which can spell hidden text; and the part of the tags' plane that is reserved for such characters.
_INVISIBLE = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\ufe00-\ufe0d\U000e0080-\U000e0fff"
)
_TAGS = "\U000e0000-\U000e007f"


def _flag(region: str) -> str:
    return "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


_FLAGS = "|".join(_flag(region) for region in ("gbeng", "gbsct", "gbwls"))

_flags = re.compile(_FLAGS)
_control = re.compile(f"[{_CONTROLS}]")
_dropped = re.compile(f"[{_INVISIBLE}{_TAGS}]")
_unseen = re.compile("[\u034f\u115f\u1160\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0]")
_stray_tag = re.compile(f"({_FLAGS})|[{_TAGS}]")
_plain = re.compile(r"[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]{0,38}[A-Za-z0-9])?")

ESCAPED = re.compile(f"({_FLAGS})|[{_CONTROLS}{_INVISIBLE}{_TAGS}]")
"""What raw JSON shows as escapes. Group 1 is a flag, which stays as it is."""
_escaped_run = re.compile(f"(?![ -~])(?:{ESCAPED.pattern}+)")  # most characters are passed over quickly


def sanitize(text: str) -> str:
    """Return ``text`` as one visible line: control characters become spaces, invisible characters are removed."""
    if text.isascii() and text.isprintable():
        return text
    return _dropped.sub("", _control.sub(" ", text))


def strip_invisible(text: str) -> str:
    """Clean ``text``, and also remove joiners and selectors, for a search that invisible characters must not defeat."""
    return text if text.isascii() and text.isprintable() else _unseen.sub("", sanitize(text))


def has_invisible(text: str) -> bool:
    """Return whether ``text`` has invisible or direction-changing characters outside the three registered flags."""
    if text.isascii():
        return False
    return _dropped.search(text) is not None and _dropped.search(_flags.sub("", text)) is not None


def truncate(text: str, limit: int) -> str:
    """Clean ``text`` and cut it to at most ``limit`` characters, with an ellipsis if something is missing."""
    sanitized = sanitize(text[: limit * 4 + 1])  # four times the limit, as most of a hostile text may be removed
    return sanitized if len(sanitized) <= limit and len(text) <= limit * 4 else sanitized[: limit - 1] + "…"


def quote(text: str, limit: int = 120) -> str:
    """Clean, truncate and quote ``text``, so that it can leave neither its line nor its quotation marks."""
    return '"' + truncate(text, limit).replace("\\", "\\\\").replace('"', '\\"') + '"'


def plain_or_quoted(text: str) -> str:
    """Return a short token of letters, digits and ``_./:+-`` as it is, and anything else in quotation marks."""
    return text if _plain.fullmatch(text) else quote(text, 60)


def replace_tags(text: str) -> tuple[str, int]:
    """Replace Unicode tags outside the registered flags with U+FFFD; return the text and the number of tags."""
    replaced = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal replaced
        if match[1]:
            return match[1]
        replaced += 1
        return "\ufffd"

    return _stray_tag.sub(replace, text), replaced


def escape_invisible(json_text: str) -> str:
    r"""Write control and invisible characters of a JSON text as ``\u`` escapes; the value stays the same."""
    if json_text.isascii() and "\x7f" not in json_text:
        return json_text  # json.dumps has escaped the C0 controls

    return _escaped_run.sub(lambda match: match[1] or json.dumps(match[0])[1:-1], json_text)
