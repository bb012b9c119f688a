"""Recognizes the text of a page of campaigns; use it to show that no foreign text adds a line."""

import re

_QUOTED = r'"(?:[^"\\\n]|\\["\\])*"'


_ID = rf"(?:-|[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]{{0,38}}[A-Za-z0-9])?|{_QUOTED})"


_STATUS = "(?:running|new chats paused|completed|stopped|not started|unknown)"


_ROW = rf"{_ID} \| (?:-|{_QUOTED}) \| {_STATUS} \| (?:-|outbound|inbound) \| (?:-|{_QUOTED})(?: \| !)?"


_COUNT = r"\d{1,3}(?:,\d{3})*"


_PAGE = re.compile(
    rf"(?:{_COUNT} of {_COUNT} campaigns? match(?:es)?; \d+ shown\.|None of {_COUNT} campaigns? matches(?:\.|; what "
    r"comes nearest:))"
    rf"(?:\nid \| name \| status \| direction \| group \| ! needs attention(?P<rows>(?:\n{_ROW})+)"
    r"\nFor details call get_campaign with an id, and the same sub_organization_id if one was given\.)?"
    r"(?:\nFor more call again with the same arguments and cursor [0-9A-Za-z._~%-]{1,900})?"
)


def is_our_page(text: str, campaigns: int) -> bool:
    """Tell whether ``text`` is a page as we write it, with a line for each of so many campaigns and no other line."""
    page = _PAGE.fullmatch(text)
    rows = page["rows"].splitlines()[1:] if page and page["rows"] else []
    return page is not None and len(rows) == campaigns and text.splitlines() == text.split("\n")


WORST = ["\U00013000", "\U0002a6d0", "🫠", "ཧཱུྃ", "龘", '"', "\\", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "ﷺ", "\ufffd", "e\u0301\u0323"]
