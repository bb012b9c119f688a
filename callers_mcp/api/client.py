"""The one client that talks to the Callers API."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Self, TypeVar

import anyio

from callers_mcp.access import (
    OPERATOR,
    SUB_ORGANIZATION_HELP,
    OrganizationAccess,
    Principal,
    parse_named_organization,
)
from callers_mcp.api.errors import Advice, CallersError, InvalidArguments, expected
from callers_mcp.api.events import CAMPAIGN_LIST, LookupEvent, Observer
from callers_mcp.api.json_reader import Document
from callers_mcp.api.key import KeySource
from callers_mcp.api.limiter import Limiters
from callers_mcp.api.list_cache import ListCache
from callers_mcp.api.lists import Listing, Rows, RowT, ToRow, belongs_to, list_query, read_list
from callers_mcp.api.request import CampaignRequest, campaign_id_help, is_object_id
from callers_mcp.api.responses import hide_existence, not_found, parse_campaign_response, require_api_response
from callers_mcp.api.retry import OnRetry, RetryPolicy, limit_time
from callers_mcp.api.singleflight import Attempt, InFlightRequest, SingleFlight
from callers_mcp.api.transport import ConnectionPool
from callers_mcp.api.turns import without_turn
from callers_mcp.sanitize import quote
from callers_mcp.settings import MAIN, Settings

ResultT = TypeVar("ResultT")

_MAX_QUICK_BYTES = 16_384  # of a campaign that is read without a thread

ToReport = Callable[[Document, CampaignRequest, Settings], ResultT]
"""Makes what a look-up returns of a campaign."""

RateLimitHook = Callable[[Principal], Awaitable[None]]
"""Returns if a caller's look-up may continue, or raises ``RateLimited``."""


class CallersClient:
    """Read access to one organization's campaigns.

    One instance has one connection pool, which is created at the first request. Share the instance, and close it by
    leaving its ``async with`` block. Look-ups of the same campaign at the same moment share one request.

    Args:
        settings: The key, the base URL, the limits.
        observer: Receives the events of each look-up; by default they go to the log.
        rate_limit_hook: Runs before each look-up; raises ``RateLimited`` if the caller is over the limit.

    Attributes:
        settings: The settings, as given.
        access: What the caller may see, on whose behalf this client acts.
    """

    def __init__(
        self, settings: Settings, *, observer: Observer | None = None, rate_limit_hook: RateLimitHook | None = None
    ) -> None:
        self.settings = settings
        self.access = OrganizationAccess(OPERATOR, settings)
        self._observer = observer or Observer()
        self._rate_limit_hook = rate_limit_hook
        self._keys = KeySource(settings)
        self._pool = ConnectionPool(settings, self._observer)
        self._retry_policy = RetryPolicy(settings.max_attempts, settings.timeout)
        self._single_flight = SingleFlight(self._retry_policy)
        self._limiters = Limiters(settings.max_connections)
        self._list_cache = ListCache(settings.list_cache_seconds)
        self._ends_at: float | None = None
        self._on_retry: OnRetry | None = None

    async def __aenter__(self) -> Self:
        await self._single_flight.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        try:
            await self._single_flight.__aexit__(*exception)
        finally:
            await self._pool.aclose()

    def on_behalf_of(self, principal: Principal) -> "CallersClient":
        """Return a client that acts for ``principal``, with this client's connections and the principal's access."""
        client = copy(self)
        client.access = OrganizationAccess(principal, self.settings)
        return client

    def within_one_deadline(self) -> "CallersClient":
        """Return this client for several look-ups of one call, which together take at most the time of one."""
        client = copy(self)
        client._ends_at = anyio.current_time() + self.settings.timeout
        return client

    def reporting_retries(self, on_retry: OnRetry) -> "CallersClient":
        """Return this client for one call; ``on_retry`` hears of each failed attempt that is followed by another."""
        client = copy(self)
        client._on_retry = on_retry
        return client

    def parse_sub_organization(self, text: str | None) -> str | None:
        """Return the id or ``main`` that a caller wrote as ``text``; ``None`` if it was not given.

        Raises:
            InvalidArguments: It is not a valid id.
        """
        try:
            return parse_named_organization(text)
        except ValueError:
            raise self._invalid("sub_organization_id", text, SUB_ORGANIZATION_HELP) from None

    def mask(self, text: str) -> str:
        """Return ``text`` cleaned and with the key masked. Use it for text from callers and from the API."""
        return self._keys.mask(text)

    async def get_campaign(self, campaign_id: str, *, sub_organization_id: str | None = None) -> Document:
        """Fetch one campaign, as the API returns it.

        Args:
            campaign_id: ObjectId, 24 hexadecimal digits.
            sub_organization_id: The sub-organization that the campaign is in; ``main`` means the main organization,
                ``None`` the default organization.

        Returns:
            The campaign's JSON object, including unknown fields, and notes on what was changed in it. Other callers may
            get the same object: do not change it.

        Raises:
            CampaignNotFound: This key can't see such a campaign in this organization.
            RateLimited, Unavailable, ...: see ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id
        """
        return await self.report_on_campaign(campaign_id, _as_document, sub_organization_id=sub_organization_id)

    async def report_on_campaign(
        self, campaign_id: str, to_report: ToReport[ResultT], *, sub_organization_id: str | None = None
    ) -> ResultT:
        """Fetch one campaign, and return the result of ``to_report``, which look-ups at the same moment share.

        Args:
            campaign_id: As for ``get_campaign``.
            to_report: It must be a module-level function, and must not raise. For a long campaign it runs in a thread.
            sub_organization_id: As for ``get_campaign``.

        Raises:
            CallersError: As for ``get_campaign``.
        """
        if not is_object_id(campaign_id):
            takes = campaign_id_help(self.mask(campaign_id), can_list=self.access.can_list)
            raise self._invalid("campaign_id", campaign_id, takes)
        sub_organization_id = self.parse_sub_organization(sub_organization_id)
        async with self._observed_lookup(campaign_id, sub_organization_id) as event:
            request = self._request(event, campaign_id, sub_organization_id)
            attempt: Attempt[tuple[Document, ResultT]] = partial(self._fetch_campaign, request, to_report)
            document, report = await self._run_shared(event, request, (request, to_report), attempt)
            if self.access.hides_main and belongs_to(document.content, self.settings.organization_id or ""):
                raise not_found(request)
            return report

    async def list_campaigns(
        self,
        to_row: ToRow[RowT],
        select: Callable[[Rows[RowT]], ResultT],
        *,
        sub_organization_id: str | None = None,
        group_id: str | None = None,
    ) -> ResultT:
        """Fetch an organization's campaigns, or take them from the cache, and return the result of ``select``.

        Args:
            to_row: Converts a campaign's JSON object to a row. It must be a module-level function, as it is part of the
                cache's key, and must not raise.
            select: Gets a row for each campaign that the caller may see, in the API's order. It runs in a thread, and
                few run at a time: comparing thousands of names takes tens of milliseconds.
            sub_organization_id: As for ``get_campaign``.
            group_id: ObjectId; request only this group's campaigns. The API may return others too.

        Raises:
            NotConfigured: The id that the API needs to list the organization's campaigns is not known.
            CallersError: See ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-all-campaigns-by-organization-id
        """
        sub_organization_id = self.parse_sub_organization(sub_organization_id)
        async with self._observed_lookup(CAMPAIGN_LIST, sub_organization_id) as event:
            request = self._request(event, None, sub_organization_id, group_id)
            listing: Listing[RowT] | None = None
            # A cached list of all groups can answer for one group.
            for candidate in (replace(request, group_id=None), request):
                listing = listing or self._list_cache.get((candidate, to_row))
            if listing is None:
                query = list_query(request, self.settings)
                attempt: Attempt[Listing[RowT]] = partial(self._fetch_list, request, to_row, query)
                listing = await self._run_shared(event, request, (request, to_row), attempt)
            rows = listing.visible_rows(hides_main=self.access.hides_main)
            async with without_turn(), self._limiters.searches.slot([self.access.principal]):
                return await anyio.to_thread.run_sync(select, rows)

    async def probe(self) -> int:
        """Request a campaign without a key, to see whether the API answers.

        Returns:
            The HTTP status, which is normally a 4xx.

        Raises:
            CallersError: There is no answer, or it is not the API's.
        """

        async def attempt() -> int:
            response = await self._pool.get(f"/campaigns/{'0' * 24}", {})
            require_api_response(response)
            return response.status

        return await self._retry_policy.run_with_deadline(attempt)

    async def enforces_sub_organizations(self, campaign_id: str) -> bool:
        """Return whether the API refuses a campaign under a sub-organization that does not exist.

        This must be true for organizations to be separated.

        Raises:
            CallersError: The API returned neither a campaign nor a refusal.
        """
        request = CampaignRequest(campaign_id, secrets.token_hex(12), self._keys.current(), self._keys.variable)

        async def attempt() -> Document:
            response = await self._pool.get(f"/campaigns/{campaign_id}", request.headers(secrets.token_hex(8)))
            return parse_campaign_response(response, request)

        try:
            await self._retry_policy.run_with_deadline(attempt)
        except CallersError as error:
            if error.http_status is not None and 400 <= error.http_status < 500 and not error.retryable:
                return True
            raise
        return False

    @asynccontextmanager
    async def _observed_lookup(self, target: str, sub_organization_id: str | None) -> AsyncIterator[LookupEvent]:
        """Check the rate limit, limit the time of the block, and report its outcome to the observer."""
        event = LookupEvent(self.access.principal.name, target, sub_organization_id or "default")
        started = time.perf_counter()
        self._observer.on_lookup_started()
        try:
            with limit_time(self.settings.timeout, self._ends_at):
                if self._rate_limit_hook:
                    await self._rate_limit_hook(self.access.principal)
                yield event
            event.outcome = "found"
        except CallersError as error:
            event.outcome, error.request_id = error.kind, event.request_id
            raise
        except Exception:
            event.outcome = "internal"
            raise
        finally:
            event.seconds = time.perf_counter() - started
            self._observer.on_lookup_finished(event)

    async def _run_shared(
        self, event: LookupEvent, request: CampaignRequest, key: Hashable, attempt: Attempt[ResultT]
    ) -> ResultT:
        """Start the request of ``key``, or join the one in flight."""
        principal = self.access.principal
        in_flight, event.shared = self._single_flight.get_or_start(key, attempt, principal)
        event.request_id = in_flight.request_id
        self._limiters.update()
        try:
            async with without_turn():
                return await in_flight.result(principal, self._on_retry)
        except CallersError as error:
            raise hide_existence(error, request, self.access) from None
        finally:
            event.attempts = in_flight.attempts

    def _request(
        self, event: LookupEvent, campaign_id: str | None, sub_organization_id: str | None, group_id: str | None = None
    ) -> CampaignRequest:
        key = self._keys.current()
        organization = self.access.resolve(sub_organization_id)
        if organization and key.lower() in organization.lower():
            raise InvalidArguments("The value given as the sub-organization's id is not an id; nothing was sent.")
        event.organization = organization or MAIN
        return CampaignRequest(campaign_id, organization, key, self._keys.variable, group_id)

    async def _fetch_campaign(
        self,
        request: CampaignRequest,
        to_report: ToReport[ResultT],
        in_flight: InFlightRequest[tuple[Document, ResultT]],
    ) -> tuple[Document, ResultT]:
        async with self._limiters.campaigns.slot(in_flight.principals):
            headers = request.headers(in_flight.request_id)
            response = await self._pool.get(f"/campaigns/{request.campaign_id}", headers)

        def read() -> tuple[Document, ResultT]:
            document = parse_campaign_response(response, request)
            return document, to_report(document, request, self.settings)

        if len(response.body) <= _MAX_QUICK_BYTES:
            return read()
        async with self._limiters.readings.slot(in_flight.principals):
            return await anyio.to_thread.run_sync(read)

    async def _fetch_list(
        self, request: CampaignRequest, to_row: ToRow[RowT], query: str, in_flight: InFlightRequest[Listing[RowT]]
    ) -> Listing[RowT]:
        async with self._limiters.lists.slot(in_flight.principals):
            headers = request.headers(in_flight.request_id)
            get = partial(self._pool.get, headers=headers, limited_by="list_max_body_bytes")
            listing = await read_list(get, request, query, to_row, self.settings)
        self._list_cache.set((request, to_row), listing)
        return listing

    def _invalid(self, argument: str, text: str | None, takes: str | Advice) -> InvalidArguments:
        return InvalidArguments(expected(f"{argument} {quote(self.mask(text or ''), 60)} is not valid", takes))


def _as_document(document: Document, request: CampaignRequest, settings: Settings) -> Document:
    return document
