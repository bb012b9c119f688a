"""The one client that talks to the Callers API."""

import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import anyio
from pydantic import JsonValue

from callers_mcp.access import OPERATOR, Caller, find_place, may_see, own_places
from callers_mcp.api.errors import CallersError, DeadlineExceeded, InvalidArguments, NotConfigured
from callers_mcp.api.events import LIST, LookUp, Observer
from callers_mcp.api.json_reader import Document, mask
from callers_mcp.api.key import KeySource
from callers_mcp.api.limiter import AT_ONCE, AT_ONCE_FOR_ONE, SEARCHES_AT_ONCE, Turns
from callers_mcp.api.list_cache import KeptLists
from callers_mcp.api.lists import Listing, RowT, belongs_to, can_list, read_in_steps
from callers_mcp.api.lists import query as list_query
from callers_mcp.api.responses import (
    Lookup,
    as_seen_by_some,
    not_visible,
    read_campaign,
    read_campaigns,
    require_api_answer,
)
from callers_mcp.api.retry import OnRetry, within_deadline
from callers_mcp.api.singleflight import Flights
from callers_mcp.api.transport import Pool
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings, variable

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")

ResultT = TypeVar("ResultT")

Admit = Callable[[Caller], Awaitable[None]]
"""Lets a caller's look-up go on, or raises ``RateLimited``."""


class CallersClient:
    """Read access to one organization's campaigns.

    One instance holds one connection pool, made at the first request; share the instance, and close it by leaving its
    ``async with`` block. Look-ups of the same campaign at the same moment share one request.

    Args:
        settings: The key, the base URL, the limits.
        observer: Told of each look-up; by default it goes to the log.
        admit: Asked before each look-up, where callers have a rate limit.
    """

    def __init__(self, settings: Settings, *, observer: Observer | None = None, admit: Admit | None = None) -> None:
        self._settings = settings
        self._observer = observer or Observer()
        self._admit = admit
        self._caller = OPERATOR
        self._keys = KeySource(settings)
        self._pool = Pool(settings, self._observer)
        self._flights = Flights()
        self._list_turns = Turns(AT_ONCE, AT_ONCE_FOR_ONE)
        self._search_turns = Turns(SEARCHES_AT_ONCE, 1)
        self._kept_lists = KeptLists(settings.list_cache_seconds)

    async def __aenter__(self) -> Self:
        await self._flights.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._flights.__aexit__(kind, error, traceback)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pool.aclose()

    def on_behalf_of(self, caller: Caller) -> "CallersClient":
        """Return the same client as ``caller`` has it, who sees no more than their scope."""
        client = copy(self)
        client._caller = caller
        return client

    @property
    def settings(self) -> Settings:
        """What this client was made with."""
        return self._settings

    def place(self, sub_organization_id: str | None = None) -> str | None:
        """Return where a call looks: a sub-organization's id, or ``None`` for the main organization.

        Args:
            sub_organization_id: What the call names: an id, ``main``, or ``None`` for the default place.

        Raises:
            Forbidden: The caller, or ``CALLERS_SUB_ORGANIZATIONS``, may not look there.
            NotConfigured: A host left a placeholder in a sub-organization setting.
        """
        place = find_place(sub_organization_id, self._caller, self._settings)
        return None if place == MAIN else place

    @property
    def can_list(self) -> bool:
        """Whether there is a place whose campaigns could be listed for the caller."""
        return can_list(self._caller, self._settings)

    @property
    def places(self) -> tuple[str, ...] | None:
        """The places that the caller may look into, ids and ``main``; ``None`` where they can't be listed."""
        return own_places(self._caller, self._settings)

    def mask(self, text: str) -> str:
        """Return ``text`` cleaned, and with the key masked: for words that come from outside."""
        try:
            return mask(text, self._keys.current())
        except NotConfigured:
            return mask(text, "")

    async def get_campaign(
        self, campaign_id: str, *, sub_organization_id: str | None = None, on_retry: OnRetry | None = None
    ) -> Document:
        """Fetch one campaign, as the API returns it.

        Args:
            campaign_id: ObjectId, 24 hexadecimal digits.
            sub_organization_id: Look inside this sub-organization; ``main`` means the main organization, ``None`` the
                default place.
            on_retry: Told of each failed attempt that is followed by another.

        Returns:
            The campaign's JSON object, unknown fields included, and what had to be changed in it. Others may hold the
            same object: do not change it.

        Raises:
            CampaignNotFound: No such campaign is visible to this key, there.
            RateLimited, Unavailable, ...: see ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id
        """
        if not OBJECT_ID.fullmatch(campaign_id):
            raise InvalidArguments("A campaign's id is 24 hexadecimal digits.")
        async with self._told(campaign_id, sub_organization_id) as asked:
            lookup = asked.lookup = self._lookup(campaign_id, sub_organization_id)
            document = await asked.share(self._flights, lookup, self._attempt(lookup), on_retry)
            self._require_visible(document, lookup)
            return document

    async def list_campaigns(
        self,
        read: Callable[[Mapping[str, JsonValue]], RowT],
        choose: Callable[[Sequence[RowT]], ResultT],
        *,
        sub_organization_id: str | None = None,
        group_id: str | None = None,
        on_retry: OnRetry | None = None,
    ) -> ResultT:
        """Fetch a place's campaigns, or take what is kept of them, and return what ``choose`` makes of them.

        Args:
            read: Turns a campaign's JSON object into what is needed of it; a module's function, which never raises.
            choose: Given a row for each campaign that the caller may see, in the API's order. It runs in a thread, few
                at a time: to compare thousands of names takes tens of milliseconds.
            sub_organization_id: As for ``get_campaign``.
            group_id: ObjectId; ask the API for this group's campaigns alone. It may give others too.
            on_retry: As for ``get_campaign``.

        Raises:
            NotConfigured: No id is known by which the API would list the campaigns there.
            CallersError: See ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-all-campaigns-by-organization-id
        """
        async with self._told(LIST, sub_organization_id) as asked:
            lookup = asked.lookup = self._lookup(None, sub_organization_id, group_id)
            listing: Listing[RowT] | None = None
            for each in (replace(lookup, group_id=None), lookup):  # a whole list serves its groups
                listing = listing or self._kept_lists.get((each, read))
            if listing is None:
                attempt = self._list_attempt(lookup, read)
                listing = await asked.share(self._flights, (lookup, read), attempt, on_retry)
            rows: Sequence[RowT] = listing.rows
            if self._hides_main():
                rows = [row for at, row in enumerate(rows) if at not in listing.of_main]
            with anyio.move_on_after(self._settings.timeout):
                async with self._search_turns.of(self._caller):
                    return await anyio.to_thread.run_sync(choose, rows)
            raise DeadlineExceeded(
                f"This server was busy with other searches for {self._settings.timeout:g} seconds. Try again later."
            )

    async def probe(self) -> int:
        """Ask the API for a campaign without a key, to see whether it answers at all.

        Returns:
            The HTTP status. An API that answers as it should gives a 4xx.

        Raises:
            CallersError: No answer, or one that is not the API's.
        """

        async def attempt() -> int:
            answer = await self._pool.get(f"/campaigns/{'0' * 24}", {})
            require_api_answer(answer)
            return answer.status

        return await within_deadline(attempt, self._settings)

    async def honours_sub_organizations(self, campaign_id: str) -> bool:
        """Tell whether the API refuses a campaign under a sub-organization that does not exist, as isolation needs.

        Raises:
            CallersError: It gave neither a campaign nor a refusal.
        """
        made_up = Lookup(campaign_id, secrets.token_hex(12), self._keys.current(), self._keys.variable)
        try:
            await within_deadline(lambda: self._attempt(made_up)(secrets.token_hex(8)), self._settings)
        except CallersError as error:
            if error.http_status is not None and 400 <= error.http_status < 500 and not error.retryable:
                return True
            raise
        return False

    @asynccontextmanager
    async def _told(self, what: str, sub_organization_id: str | None) -> AsyncIterator["_Asked"]:
        """Let the caller in, and tell the observer how what is done in the block ended."""
        if sub_organization_id is not None and not SUB_ORGANIZATION_ID.fullmatch(sub_organization_id):
            raise InvalidArguments("A sub-organization's id is visible ASCII without spaces, at most 128 characters.")
        started, outcome = time.perf_counter(), "cancelled"
        asked = _Asked(self._settings)
        self._observer.began()
        try:
            if self._admit:
                await self._admit(self._caller)
            yield asked
            outcome = "found"
        except CallersError as error:
            if asked.lookup and asked.attempts:
                error = as_seen_by_some(error, asked.lookup, self._caller)
            outcome = error.kind
            error.request_id = asked.request_id = asked.request_id or secrets.token_hex(8)
            raise error from None
        except Exception:
            outcome = "internal"
            raise
        finally:
            place = (asked.lookup.place or MAIN) if asked.lookup else (sub_organization_id or "default")
            self._observer.ended(
                LookUp(
                    caller=self._caller.name,
                    campaign_id=what,
                    place=place,
                    outcome=outcome,
                    seconds=time.perf_counter() - started,
                    attempts=asked.attempts,
                    shared=asked.shared,
                    request_id=asked.request_id or secrets.token_hex(8),
                )
            )

    def _lookup(self, campaign_id: str | None, sub_organization_id: str | None, group_id: str | None = None) -> Lookup:
        key = self._keys.current()
        place = self.place(sub_organization_id)
        if place and key.lower() in place.lower():
            raise InvalidArguments("What was given as the sub-organization's id is no id; nothing was sent.")
        return Lookup(campaign_id, place, key, self._keys.variable, group_id)

    def _attempt(self, lookup: Lookup) -> Callable[[str], Awaitable[Document]]:
        async def attempt(request_id: str) -> Document:
            path = f"/campaigns/{lookup.campaign_id}"
            return read_campaign(await self._pool.get(path, _headers(lookup, request_id)), lookup)

        return attempt

    def _list_attempt(
        self, lookup: Lookup, read: Callable[[Mapping[str, JsonValue]], RowT]
    ) -> Callable[[str], Awaitable[Listing[RowT]]]:
        query = list_query(lookup.place, self._settings, lookup.group_id)
        if query is None:
            raise NotConfigured(
                f"The campaigns of {lookup.where} can't be listed before the operator sets "
                f"{variable('organization_id')}; nothing was sent. Look a campaign up by its id, or give a "
                "sub_organization_id."
            )
        if lookup.key.lower() in (self._settings.organization_id or "").lower():
            raise NotConfigured(
                f"{variable('organization_id')} holds the API key, not an id; nothing was sent. The operator mends it."
            )

        async def attempt(request_id: str) -> Listing[RowT]:
            async with self._list_turns.of(self._caller):
                answer = await self._pool.get(
                    f"/campaigns?{query}", _headers(lookup, request_id), limited_by="list_max_body_bytes"
                )
                listing = await read_in_steps(read_campaigns(answer, lookup), read, self._settings)
            self._kept_lists.put((lookup, read), listing)
            return listing

        return attempt

    def _hides_main(self) -> bool:
        """Tell whether the main organization's campaigns are to stay from the caller, should the API give any."""
        return self._settings.organization_id is not None and not may_see(MAIN, self._caller, self._settings)

    def _require_visible(self, document: Document, lookup: Lookup) -> None:
        """Keep the main organization's campaigns from callers without it, should the API ignore the place."""
        if self._hides_main() and belongs_to(document.content, self._settings.organization_id or ""):
            raise not_visible(lookup)


class _Asked:
    """What comes to light of a look-up on its way."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.lookup: Lookup | None = None
        self.attempts = 0
        self.shared = False
        self.request_id = ""

    async def share(
        self,
        flights: Flights,
        key: Hashable,
        attempt: Callable[[str], Awaitable[ResultT]],
        on_retry: OnRetry | None,
    ) -> ResultT:
        """Make the request that ``key`` names, or join the one under way."""
        flight, self.shared = flights.join(key, attempt, self._settings)
        self.request_id = flight.request_id
        try:
            return await flight.wait(self._settings, on_retry)
        finally:
            self.attempts = flight.attempts


def _headers(lookup: Lookup, request_id: str) -> dict[str, str]:
    headers = {"Authorization": lookup.key, "X-Request-Id": request_id}
    if lookup.place is not None:
        headers["x-sub-organization-id"] = lookup.place
    return headers
