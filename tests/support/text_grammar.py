"""Recognizes the text of a campaign and of a page of campaigns. Use it to show that text from the API adds no line."""

import re

QUOTED = r'"(?:[^"\\\n]|\\["\\])*"'
_VALUE = rf"(?:{QUOTED}|[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]*[A-Za-z0-9])?)"
_LISTED = rf"{_VALUE}(?:, {_VALUE})*(?: and \d+ more)?"
_TIME = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{3})?Z)?(?: \((?:less than a day|1 day|\d+ days) ago\))?"
_SENTENCE = rf"(?:[A-Z]|\d+ more )(?:[A-Za-z0-9 ,.:;()'+\[\]-]|{QUOTED})+\."
_LINES = (
    r"(?:Running|New chats paused:|Completed|Stopped|Not yet started|Outbound|Inbound|Campaign)"
    r"(?<=[a-z:])(?![a-z])[A-Za-z0-9_ ,()/+-]*\.",
    "Needs attention:",
    "Worth checking:",
    rf"- {_SENTENCE}",
    rf"Name: {QUOTED}",
    rf"Id: {_VALUE}",
    "Status: (?:running|new chats paused|completed|stopped|not started|unknown)",
    r"Direction: (?:outbound \(the campaign calls people\)|inbound \(people call the campaign\))",
    rf"(?:First interaction|Completed): {_TIME}",
    rf"Calling days: (?:every day|{_VALUE}(?:(?:, | and ){_VALUE})*)"
    r"(?: and \d+ more)?(?:; today is (?:not )?one of them)?",
    rf"Time zone: {_VALUE}(?: \(local time [0-9T:+-]+\))?",
    rf"(?:Language|Incoming number|Organization): {_VALUE}",
    rf"(?:Approved countries|Calls from|Webhooks go to): {_LISTED}",
    "Calls from: no number",
    rf"Group: (?:{QUOTED} \(id {_VALUE}\)|{QUOTED}|\(id {_VALUE}\))",
    "Slack notifications: (?:on|off)",
    r"Variables: \d+",
    r"Looked up in: (?:the main organization|sub-organization [!-~]+)",
    rf"As of: {_TIME}",
)
_line, _quoted, _sentence = re.compile("|".join(_LINES)), re.compile(QUOTED), re.compile(_SENTENCE)

ROW_ID = rf"(?:-|[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]{{0,38}}[A-Za-z0-9])?|{QUOTED})"
_STATUS = "(?:running|new chats paused|completed|stopped|not started|unknown)"
_ROW = rf"{ROW_ID} \| (?:-|{QUOTED}) \| {_STATUS} \| (?:-|outbound|inbound) \| (?:-|{QUOTED})(?: \| !)?"
_ARGUMENT = r"(?:query|status|direction|group|needs_attention(?: \(false\))?)"
_COUNT = r"\d{1,3}(?:,\d{3})*"
_PAGE = re.compile(
    r"(?:The list is not whole: the API has more campaigns\. )?"
    rf"(?:{_COUNT} of (?:the first )?{_COUNT} campaigns? match(?:es)?; \d+ shown\.|"
    rf"(?:None of {_COUNT} campaigns? matches|No match among the first {_COUNT} campaigns?)\.)"
    rf"(?: Without {_ARGUMENT}: {_COUNT} match(?:es)?\.)*"
    rf"(?: Each on its own: {_ARGUMENT} {_COUNT} match(?:es)?(?:, {_ARGUMENT} {_COUNT} match(?:es)?)+\.)?"
    rf'(?: Status "paused" was read as new_chats_paused; {_COUNT} (?:is|are) stopped\.)?'
    r"(?: What comes nearest:)?"
    rf"(?:\nid \| name \| status \| direction \| group \| ! needs attention(?P<rows>(?:\n{_ROW})+)"
    r"\nFor details call get_campaign with an id, and the same sub_organization_id if one was given\.)?"
    r'(?:\nFor more call again with the same arguments and \{"cursor": "[0-9A-Za-z._~%-]{1,900}"\})?'
)


def is_ours(line: str) -> bool:
    """Return whether ``line`` is a line of the summary: text from the API is only in quotes, or is a plain token."""
    return _line.fullmatch(line) is not None


def is_our_sentence(sentence: str) -> bool:
    """Return whether ``sentence`` is a sentence that the summary has in ``attention`` or ``worth_checking``."""
    return _sentence.fullmatch(sentence) is not None


def outside_quotes(text: str) -> str:
    """Return ``text`` without its parts in quotation marks."""
    return _quoted.sub("", text)


def is_our_page(text: str, campaigns: int) -> bool:
    """Return whether ``text`` is a page of ``find_campaigns`` with one line per campaign and no other line."""
    page = _PAGE.fullmatch(text)
    rows = page["rows"].splitlines()[1:] if page and page["rows"] else []
    return page is not None and len(rows) == campaigns and text.splitlines() == text.split("\n")
