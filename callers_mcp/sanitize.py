r"""Cleaning and escaping of text that other people wrote.

Names and variables come from anyone who may edit a campaign, and a model reads them. Characters that people can't see
are removed from the summary and made visible in the raw JSON:

=========================================================  ==================  =======================
characters                                                 in the summary      in the raw JSON's text
=========================================================  ==================  =======================
controls: C0, DEL, C1, U+2028, U+2029                      a space             a ``\u`` escape
invisible or direction-changing: Cf, and all that Unicode  dropped             a ``\u`` escape
lists as Default_Ignorable_Code_Point
Unicode tags, U+E0000 to U+E007F                           dropped             U+FFFD, in the value too
the joiners U+200C and U+200D between letters of scripts   stay                stay
that use them, or in an emoji
the selectors U+FE0E and U+FE0F after a symbol             stay                stay
the flags of England, Scotland and Wales                   stay                stay
=========================================================  ==================  =======================

Sources: the Unicode properties ``Cf``, ``Default_Ignorable_Code_Point`` and ``Emoji``; https://www.unicode.org/reports/tr51/
for the three flags (RGI tag sequences) and emoji; https://www.rfc-editor.org/rfc/rfc5892#appendix-A for the joiners.
"""

import json
import re

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
# Cf and Default_Ignorable_Code_Point of Unicode 17 without the tags and the characters that may stay. A test generates
# this again.
_INVISIBLE = (
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0080-\U000e0fff"
)
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe0e\ufe0f"
_TAGS = "\U000e0000-\U000e007f"

# Letters and marks of the Arabic, Indic, Burmese, Khmer and Mongolian families, and their viramas.
_JOINED = (
    "\u0620-\u06dc\u06de-\u070e\u0710-\u088f\u0892-\u08e1\u08e3-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff"
    "\u1820-\u18aa\ua840-\ua877\U00010a00-\U000110bc\U000110be-\U000110cc\U000110ce-\U00011fff"
)
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
# The blocks of symbols, which contain every emoji; of these, only digits, # and * are also part of other text.
_SYMBOLS = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
# After a joiner or a selector: it may stay between these neighbours.
_MAY_STAY = (
    f"(?<=[{_JOINED}][{_JOINERS}])(?=[{_JOINED}])"
    f"|(?<=[{_VIRAMAS}]\u200d)"
    f"|(?:(?<=[{_SYMBOLS}]\u200d)|(?<=[{_SYMBOLS}]\ufe0f\u200d))(?=[{_SYMBOLS}])"
    f"|(?<=[{_SYMBOLS}][{_SELECTORS}])"
    "|(?<=[0-9#*]\ufe0f)(?=\u20e3)"
)
# Patterns that begin with one set of characters pass quickly over all others.
_HIDDEN = f"[{_INVISIBLE}{_TAGS}{_JOINERS}{_SELECTORS}](?!{_MAY_STAY})"
_HIDDEN_OR_CONTROL = f"[{_CONTROLS}{_INVISIBLE}{_TAGS}{_JOINERS}{_SELECTORS}](?!{_MAY_STAY})"


def _flag(region: str) -> str:
    return "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


_FLAGS = "|".join(_flag(region) for region in ("gbeng", "gbsct", "gbwls"))

_flags = re.compile(f"({_FLAGS})")
_control = re.compile(f"[{_CONTROLS}]")
_ignorable = re.compile(f"[{_INVISIBLE}{_TAGS}{_JOINERS}{_SELECTORS}]")
_dropped = re.compile(_HIDDEN)
_escaped = re.compile(f"{_HIDDEN_OR_CONTROL}(?:{_HIDDEN_OR_CONTROL}){{0,999}}")  # other threads run between matches
_stray_tag = re.compile(f"({_FLAGS})|[{_TAGS}]")
_plain = re.compile(r"[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]{0,38}[A-Za-z0-9])?")

ESCAPED = re.compile(f"({_FLAGS})|[{_CONTROLS}{_INVISIBLE}{_TAGS}]")
"""What the card shows as escapes, without the rules on a joiner's or selector's neighbours. Group 1 is a flag, which
stays as it is."""


def sanitize(text: str) -> str:
    """Return ``text`` as one visible line: control characters become spaces, invisible characters are removed."""
    if text.isascii() and text.isprintable():
        return text
    text = _control.sub(" ", text)
    if _ignorable.search(text) is None:
        return text
    return "".join(part if at % 2 else _dropped.sub("", part) for at, part in enumerate(_flags.split(text)))


def strip_invisible(text: str) -> str:
    """Clean ``text``, and also remove joiners and selectors, for a search that invisible characters must not defeat."""
    return text if text.isascii() and text.isprintable() else _ignorable.sub("", _control.sub(" ", text))


def has_invisible(text: str) -> bool:
    """Return whether ``text`` has invisible or direction-changing characters that ``sanitize`` removes."""
    if text.isascii() or _ignorable.search(text) is None:
        return False
    return any(_dropped.search(part) for part in _flags.split(text)[::2])


def is_blank(text: str) -> bool:
    """Return whether people see nothing in ``text``: it has only spaces, blanks and invisible characters."""
    return not strip_invisible(text).replace("\u2800", "").strip()


def truncate(text: str, limit: int) -> str:
    """Clean ``text`` and cut it to at most ``limit`` characters, with an ellipsis if something is missing."""
    sanitized = sanitize(text[: limit * 4])  # four times the limit, as most of a hostile text may be removed
    if len(sanitized) <= limit and len(text) <= limit * 4:
        return sanitized
    return sanitize(sanitized[: limit - 1]) + "…"  # what is cut may have been half of a flag


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
    return "".join(
        part if at % 2 else _escaped.sub(lambda run: json.dumps(run[0])[1:-1], part)
        for at, part in enumerate(_flags.split(json_text))
    )
