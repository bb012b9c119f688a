"""The one client that talks to the Callers API."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from copy import copy
from types import TracebackType
from typing import Self

from callers_mcp.api.caller import OPERATOR, Caller
from callers_mcp.api.deadline import OnRetry, within_deadline
from callers_mcp.api.errors import CallersError, InvalidArguments, NotConfigured
from callers_mcp.api.flights import Flights
from callers_mcp.api.json import Document, mask
from callers_mcp.api.key import KeySource
from callers_mcp.api.observer import LookUp, Observer
from callers_mcp.api.places import find_place, may_see
from callers_mcp.api.pool import Pool
from callers_mcp.api.responses import Lookup, as_seen_by_some, not_visible, read_campaign, require_api_answer
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")

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
        self._flights: Flights[Document] = Flights()

    async def __aenter__(self) -> Self:
        await self._flights.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._flights.__aexit__(kind, error, traceback)
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
        if sub_organization_id is not None and not SUB_ORGANIZATION_ID.fullmatch(sub_organization_id):
            raise InvalidArguments("A sub-organization's id is visible ASCII without spaces, at most 128 characters.")
        started = time.perf_counter()
        place, outcome, attempts, shared, request_id = sub_organization_id or "default", "cancelled", 0, False, ""
        self._observer.began()
        try:
            if self._admit:
                await self._admit(self._caller)
            lookup = self._lookup(campaign_id, sub_organization_id)
            place = lookup.place or MAIN
            flight, shared = self._flights.join(lookup, self._attempt(lookup), self._settings)
            request_id = flight.request_id
            try:
                document = await flight.wait(self._settings, on_retry)
            finally:
                attempts = flight.attempts
            self._require_visible(document, lookup)
            outcome = "found"
            return document
        except CallersError as error:
            error = as_seen_by_some(error, lookup, self._caller) if attempts else error
            outcome = error.kind
            error.request_id = request_id = request_id or secrets.token_hex(8)
            raise error from None
        except Exception:
            outcome = "internal"
            raise
        finally:
            self._observer.ended(
                LookUp(
                    caller=self._caller.name,
                    campaign_id=campaign_id,
                    place=place,
                    outcome=outcome,
                    seconds=time.perf_counter() - started,
                    attempts=attempts,
                    shared=shared,
                    request_id=request_id or secrets.token_hex(8),
                )
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

    def _lookup(self, campaign_id: str, sub_organization_id: str | None) -> Lookup:
        key = self._keys.current()
        place = self.place(sub_organization_id)
        if place and key.lower() in place.lower():
            raise InvalidArguments("What was given as the sub-organization's id is no id; nothing was sent.")
        return Lookup(campaign_id, place, key, self._keys.variable)

    def _attempt(self, lookup: Lookup) -> Callable[[str], Awaitable[Document]]:
        async def attempt(request_id: str) -> Document:
            headers = {"Authorization": lookup.key, "X-Request-Id": request_id}
            if lookup.place is not None:
                headers["x-sub-organization-id"] = lookup.place
            return read_campaign(await self._pool.get(f"/campaigns/{lookup.campaign_id}", headers), lookup)

        return attempt

    def _require_visible(self, document: Document, lookup: Lookup) -> None:
        """Keep the main organization's campaigns from callers without it, should the API ignore the place."""
        main = self._settings.organization_id
        if main is None or may_see(MAIN, self._caller, self._settings):
            return
        if str(document.content.get("organizationId")).strip().lower() == main.lower():
            raise not_visible(lookup)
