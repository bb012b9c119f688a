"""The one client that talks to the Callers API."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import anyio
from pydantic import JsonValue

from callers_mcp.access import (
    OPERATOR,
    SUB_ORGANIZATION_HELP,
    Principal,
    accessible_organizations,
    can_access,
    parse_sub_organization,
    resolve_organization,
)
from callers_mcp.api.errors import CallersError, DeadlineExceeded, InvalidArguments, expected
from callers_mcp.api.events import CAMPAIGN_LIST, LookupEvent, Observer
from callers_mcp.api.json_reader import Document
from callers_mcp.api.key import KeySource
from callers_mcp.api.limiter import (
    MAX_CONCURRENT_LISTS,
    MAX_CONCURRENT_LISTS_PER_PRINCIPAL,
    MAX_CONCURRENT_SEARCHES,
    PerPrincipalLimiter,
)
from callers_mcp.api.list_cache import ListCache
from callers_mcp.api.lists import Listing, RowT, belongs_to, can_list, list_query, parse_cooperatively
from callers_mcp.api.lookup_state import LookupState
from callers_mcp.api.request import CAMPAIGN_ID_HELP, OBJECT_ID, CampaignRequest
from callers_mcp.api.responses import (
    hide_existence,
    not_found,
    parse_campaign_response,
    parse_list_response,
    require_api_response,
)
from callers_mcp.api.retry import OnRetry, RetryPolicy
from callers_mcp.api.singleflight import SingleFlight
from callers_mcp.api.transport import ConnectionPool
from callers_mcp.sanitize import quote
from callers_mcp.settings import MAIN, Settings

ResultT = TypeVar("ResultT")

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
    """

    def __init__(
        self, settings: Settings, *, observer: Observer | None = None, rate_limit_hook: RateLimitHook | None = None
    ) -> None:
        self._settings = settings
        self._observer = observer or Observer()
        self._rate_limit_hook = rate_limit_hook
        self._principal = OPERATOR
        self._keys = KeySource(settings)
        self._pool = ConnectionPool(settings, self._observer)
        self._retry_policy = RetryPolicy(settings.max_attempts, settings.timeout)
        self._single_flight = SingleFlight(self._retry_policy)
        self._list_limiter = PerPrincipalLimiter(MAX_CONCURRENT_LISTS, MAX_CONCURRENT_LISTS_PER_PRINCIPAL)
        self._search_limiter = PerPrincipalLimiter(MAX_CONCURRENT_SEARCHES, 1)
        self._list_cache = ListCache(settings.list_cache_seconds)

    async def __aenter__(self) -> Self:
        await self._single_flight.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._single_flight.__aexit__(kind, error, traceback)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pool.aclose()

    def on_behalf_of(self, principal: Principal) -> "CallersClient":
        """Return a client that acts for ``principal``, with this client's connections and the principal's access."""
        client = copy(self)
        client._principal = principal
        return client

    @property
    def settings(self) -> Settings:
        """The settings of this client."""
        return self._settings

    def parse_sub_organization(self, text: str | None) -> str | None:
        """Return the id or ``main`` that a caller wrote as ``text``; ``None`` if it is blank or ``None``.

        Raises:
            InvalidArguments: It is not a valid id.
        """
        try:
            organization: str | None = parse_sub_organization(text)
        except ValueError:
            problem = f"sub_organization_id {quote(self.mask(text or ''), 60)} is not valid"
            raise InvalidArguments(expected(problem, SUB_ORGANIZATION_HELP)) from None
        return organization

    def resolve_sub_organization(self, sub_organization_id: str | None = None) -> str | None:
        """Return the organization that a call reads: a sub-organization's id, or ``None`` for the main organization.

        Args:
            sub_organization_id: An id, ``main``, or ``None`` for the default organization.

        Raises:
            Forbidden: The caller may not read it, or ``CALLERS_SUB_ORGANIZATIONS`` does not contain it.
            NotConfigured: A host left a placeholder in a sub-organization setting.
        """
        organization = resolve_organization(sub_organization_id, self._principal, self._settings)
        return None if organization == MAIN else organization

    @property
    def can_list(self) -> bool:
        """Whether the campaigns of any organization can be listed for the caller."""
        return can_list(self._principal, self._settings)

    @property
    def accessible_organizations(self) -> tuple[str, ...] | None:
        """The organizations that the caller may read, as ids and ``main``; ``None`` if they can't be listed."""
        return accessible_organizations(self._principal, self._settings)

    def mask(self, text: str) -> str:
        """Return ``text`` cleaned and with the key masked. Use it for text from callers and from the API."""
        return self._keys.mask(text)

    async def get_campaign(
        self, campaign_id: str, *, sub_organization_id: str | None = None, on_retry: OnRetry | None = None
    ) -> Document:
        """Fetch one campaign, as the API returns it.

        Args:
            campaign_id: ObjectId, 24 hexadecimal digits.
            sub_organization_id: The sub-organization that the campaign is in; ``main`` means the main organization,
                ``None`` the default organization.
            on_retry: Called after each failed attempt that is followed by another.

        Returns:
            The campaign's JSON object, including unknown fields, and notes on what was changed in it. Other callers may
            get the same object: do not change it.

        Raises:
            CampaignNotFound: This key can't see such a campaign in this organization.
            RateLimited, Unavailable, ...: see ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-a-campaign-by-id
        """
        if not OBJECT_ID.fullmatch(campaign_id):
            problem = f"campaign_id {quote(self.mask(campaign_id), 60)} is not valid"
            raise InvalidArguments(expected(problem, CAMPAIGN_ID_HELP))
        sub_organization_id = self.parse_sub_organization(sub_organization_id)
        async with self._observed_lookup(campaign_id, sub_organization_id) as state:
            request = state.request = self._request(campaign_id, sub_organization_id)
            document = await state.run_shared(self._single_flight, request, self._campaign_attempt(request), on_retry)
            self._require_visible(document, request)
            return document

    async def list_campaigns(
        self,
        to_row: Callable[[Mapping[str, JsonValue]], RowT],
        select: Callable[[Sequence[RowT]], ResultT],
        *,
        sub_organization_id: str | None = None,
        group_id: str | None = None,
        on_retry: OnRetry | None = None,
    ) -> ResultT:
        """Fetch an organization's campaigns, or take them from the cache, and return the result of ``select``.

        Args:
            to_row: Converts a campaign's JSON object to a row. It must be a module-level function, as it is part of the
                cache's key, and must not raise.
            select: Gets a row for each campaign that the caller may see, in the API's order. It runs in a thread, and
                few run at a time: comparing thousands of names takes tens of milliseconds.
            sub_organization_id: As for ``get_campaign``.
            group_id: ObjectId; request only this group's campaigns. The API may return others too.
            on_retry: As for ``get_campaign``.

        Raises:
            NotConfigured: The id that the API needs to list the organization's campaigns is not known.
            CallersError: See ``callers_mcp.api.errors``.

        Source: https://docs.callers.ai/api-reference/campaigns/get-all-campaigns-by-organization-id
        """
        sub_organization_id = self.parse_sub_organization(sub_organization_id)
        async with self._observed_lookup(CAMPAIGN_LIST, sub_organization_id) as state:
            request = state.request = self._request(None, sub_organization_id, group_id)
            listing: Listing[RowT] | None = None
            # A cached list of all groups can answer for one group.
            for candidate in (replace(request, group_id=None), request):
                listing = listing or self._list_cache.get((candidate, to_row))
            if listing is None:
                attempt = self._list_attempt(request, to_row)
                listing = await state.run_shared(self._single_flight, (request, to_row), attempt, on_retry)
            rows: Sequence[RowT] = listing.rows
            if self._hides_main():
                rows = [row for index, row in enumerate(rows) if index not in listing.main_indexes]
            with anyio.move_on_after(self._settings.timeout):
                async with self._search_limiter.slot(self._principal):
                    return await anyio.to_thread.run_sync(select, rows)
            raise DeadlineExceeded(
                f"This server was busy with other searches for {self._settings.timeout:g} seconds. Try again later."
            )

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
        probe_request = CampaignRequest(campaign_id, secrets.token_hex(12), self._keys.current(), self._keys.variable)
        try:
            await self._retry_policy.run_with_deadline(
                lambda: self._campaign_attempt(probe_request)(secrets.token_hex(8))
            )
        except CallersError as error:
            if error.http_status is not None and 400 <= error.http_status < 500 and not error.retryable:
                return True
            raise
        return False

    @asynccontextmanager
    async def _observed_lookup(self, target: str, sub_organization_id: str | None) -> AsyncIterator["LookupState"]:
        """Check the rate limit, and report the outcome of the block to the observer."""
        started, outcome = time.perf_counter(), "cancelled"
        state = LookupState(self._settings.timeout)
        self._observer.on_lookup_started()
        try:
            if self._rate_limit_hook:
                await self._rate_limit_hook(self._principal)
            yield state
            outcome = "found"
        except CallersError as error:
            if state.request and state.attempts:
                error = hide_existence(error, state.request, self._principal)
            outcome = error.kind
            error.request_id = state.request_id = state.request_id or secrets.token_hex(8)
            raise error from None
        except Exception:
            outcome = "internal"
            raise
        finally:
            organization = (
                (state.request.sub_organization_id or MAIN) if state.request else (sub_organization_id or "default")
            )
            self._observer.on_lookup_finished(
                LookupEvent(
                    principal=self._principal.name,
                    campaign_id=target,
                    organization=organization,
                    outcome=outcome,
                    seconds=time.perf_counter() - started,
                    attempts=state.attempts,
                    shared=state.shared,
                    request_id=state.request_id or secrets.token_hex(8),
                )
            )

    def _request(
        self, campaign_id: str | None, sub_organization_id: str | None, group_id: str | None = None
    ) -> CampaignRequest:
        key = self._keys.current()
        organization = self.resolve_sub_organization(sub_organization_id)
        if organization and key.lower() in organization.lower():
            raise InvalidArguments("The value given as the sub-organization's id is not an id; nothing was sent.")
        return CampaignRequest(campaign_id, organization, key, self._keys.variable, group_id)

    def _campaign_attempt(self, request: CampaignRequest) -> Callable[[str], Awaitable[Document]]:
        async def attempt(request_id: str) -> Document:
            path = f"/campaigns/{request.campaign_id}"
            return parse_campaign_response(await self._pool.get(path, request.headers(request_id)), request)

        return attempt

    def _list_attempt(
        self, request: CampaignRequest, to_row: Callable[[Mapping[str, JsonValue]], RowT]
    ) -> Callable[[str], Awaitable[Listing[RowT]]]:
        query = list_query(request, self._settings)

        async def attempt(request_id: str) -> Listing[RowT]:
            async with self._list_limiter.slot(self._principal):
                response = await self._pool.get(
                    f"/campaigns?{query}", request.headers(request_id), limited_by="list_max_body_bytes"
                )
                listing = await parse_cooperatively(parse_list_response(response, request), to_row, self._settings)
            self._list_cache.set((request, to_row), listing)
            return listing

        return attempt

    def _hides_main(self) -> bool:
        """Return whether the main organization's campaigns must be hidden from the caller if the API returns any."""
        return self._settings.organization_id is not None and not can_access(MAIN, self._principal, self._settings)

    def _require_visible(self, document: Document, request: CampaignRequest) -> None:
        """Raise ``CampaignNotFound`` for a campaign that the API returned, but that the caller may not see."""
        if self._hides_main() and belongs_to(document.content, self._settings.organization_id or ""):
            raise not_found(request)
