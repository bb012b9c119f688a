"""Whether an answer shows that there are more campaigns than it lists, and where they are.

The reference documents no paging. These are the usual ways: a ``Link`` header, a total, a field beside the list.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urljoin, urlsplit

from pydantic import JsonValue

from callers_mcp.api.responses import RawResponse

_link = re.compile(r"<([^<>]*)>([^<]*)")
_rel = re.compile(r""";\s*rel\s*=\s*"?([^";,]*)""", re.IGNORECASE)
_content_range = re.compile(r"[a-z]+ [^/]*/([0-9]{1,12})", re.IGNORECASE)
_number = re.compile(r"[0-9]{1,12}")
_TOTAL_HEADERS = ("x-total-count", "x-total", "total-count")
_TOTAL_FIELDS = {"total", "totalcount", "totalitems", "totalresults", "totalrecords", "totaldocs", "count"}
_NEXT_FIELDS = {"next", "nexturl", "nextlink", "nextpage", "nextcursor", "nextpagetoken", "nexttoken", "cursor"}
_MORE_FIELDS = {"hasmore", "hasnext", "hasnextpage"}


def next_link(response: RawResponse, envelope: Mapping[str, JsonValue]) -> str | None:
    """Return the URL of the next page as the API wrote it, or ``None``."""
    for target, parameters in _link.findall(response.headers.get("link", "")):
        if any("next" in relations.lower().split() for relations in _rel.findall(parameters)):
            return str(target)
    for name, value in _fields(envelope):
        link = value.get("href") if isinstance(value, dict) else value
        if name in _NEXT_FIELDS and isinstance(link, str) and link.startswith(("http://", "https://", "/", "?")):
            return link
    return None


def next_path(link: str, base_url: str, path: str, key: str) -> str | None:
    """Return the path and query of ``link``, or ``None`` if it is not another page of the list at ``path``.

    It must lead to the same place under the base URL and name the same organization, and it must not contain the key.
    """
    current = base_url + path
    try:
        url, here = urlsplit(urljoin(current, link)), urlsplit(current)
        same = url[:3] == here[:3] and parse_qs(url.query)["organizationId"] == parse_qs(here.query)["organizationId"]
    except (ValueError, KeyError):
        return None
    if not same or url.query == here.query or not url.query.isascii() or not url.query.isprintable():
        return None
    return None if key.lower() in url.query.lower() else f"{path.partition('?')[0]}?{url.query}"


def shows_more(response: RawResponse, envelope: Mapping[str, JsonValue], count: int) -> bool:
    """Return whether the answer shows that there are more than the ``count`` campaigns that came until now."""
    if next_link(response, envelope):
        return True
    totals = [match[0] for name in _TOTAL_HEADERS if (match := _number.fullmatch(response.headers.get(name, "")))]
    if match := _content_range.fullmatch(response.headers.get("content-range", "")):
        totals.append(match[1])
    if any(int(total) > count for total in totals):
        return True
    for name, value in _fields(envelope):
        if name in _TOTAL_FIELDS and isinstance(value, int | float) and value > count:
            return True
        if (name in _NEXT_FIELDS and value) or (name in _MORE_FIELDS and value is True):
            return True
    return False


def _fields(envelope: Mapping[str, JsonValue]) -> list[tuple[str, JsonValue]]:
    """Return the fields beside a list, and of objects there such as ``meta``; names in lower case, without ``_``."""
    inner = [field for value in envelope.values() if isinstance(value, dict) for field in value.items()]
    return [(name.lower().replace("_", ""), value) for name, value in [*envelope.items(), *inner]]
