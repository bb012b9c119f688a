"""The one client that talks to the Callers API."""

import logging
import re
import time
from collections.abc import Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httpx2

from callers_mcp.api.connection import HEADERS, create_http_client, proxy_name, transport_error
from callers_mcp.api.deadline import OnRetry, within_deadline
from callers_mcp.api.errors import CallersError, Forbidden, InvalidArguments, NotConfigured, UnexpectedResponse
from callers_mcp.api.json import Document, mask
from callers_mcp.api.key import KeySource, require_filled_in
from callers_mcp.api.responses import Answer, Lookup, read_campaign, require_api_answer
from callers_mcp.settings import MAIN, SUB_ORGANIZATION_ID, Settings, variable

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")

logger = logging.getLogger(__name__)


class CallersClient:
    """Read access to one organization's campaigns.

    One instance holds one connection pool, made at the first request; share the instance, and close it by leaving its
    ``async with`` block.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = KeySource(settings)
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            http, self._http = self._http, None
            await http.aclose()

    @property
    def settings(self) -> Settings:
        """What this client was made with."""
        return self._settings

    def place(self, sub_organization_id: str | None = None) -> str | None:
        """Return where a call looks: a sub-organization's id, or ``None`` for the main organization.

        Args:
            sub_organization_id: What the call names: an id, ``main``, or ``None`` for the default place.

        Raises:
            Forbidden: ``CALLERS_SUB_ORGANIZATIONS`` does not list that place.
            NotConfigured: A host left a placeholder in a sub-organization setting.
        """
        require_filled_in(self._settings, "sub_organization_id", "sub_organizations")
        place = sub_organization_id or self._settings.sub_organization_id or MAIN
        allowed = self._settings.sub_organizations
        if allowed is not None and place not in allowed:
            where = "the main organization" if place == MAIN else f"sub-organization {place}"
            raise Forbidden(
                f"This server may not look into {where}; nothing was sent. Give a sub_organization_id that it may look "
                f"into: {', '.join(allowed)}."
            )
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
            The campaign's JSON object, unknown fields included, and what had to be changed in it.

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
        outcome, attempts = "cancelled", 0
        try:
            lookup = self._lookup(campaign_id, sub_organization_id)
            if lookup.place and lookup.key.lower() in lookup.place.lower():
                raise InvalidArguments("What was given as the sub-organization's id is no id; nothing was sent.")
            headers = {"Authorization": lookup.key}
            if lookup.place is not None:
                headers["x-sub-organization-id"] = lookup.place

            async def attempt() -> Document:
                return read_campaign(await self._get(f"/campaigns/{campaign_id}", headers), lookup)

            document, attempts = await within_deadline(attempt, self._settings, on_retry)
            outcome = "found"
            return document
        except CallersError as error:
            outcome, attempts = error.kind, error.attempts
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            logger.info(
                "look-up: campaign=%s sub_organization=%s outcome=%s attempts=%d milliseconds=%d",
                campaign_id,
                sub_organization_id or self._settings.sub_organization_id or MAIN,
                outcome,
                attempts,
                (time.perf_counter() - started) * 1000,
            )

    async def probe(self) -> int:
        """Ask the API for a campaign without a key, to see whether it answers at all.

        Returns:
            The HTTP status. An API that answers as it should gives a 4xx.

        Raises:
            CallersError: No answer, or one that is not the API's.
        """

        async def attempt() -> int:
            answer = await self._get(f"/campaigns/{'0' * 24}", {})
            require_api_answer(answer)
            return answer.status

        status, _ = await within_deadline(attempt, self._settings, None)
        return status

    def _lookup(self, campaign_id: str, sub_organization_id: str | None) -> Lookup:
        key = self._keys.current()
        return Lookup(campaign_id, self.place(sub_organization_id), key, self._keys.variable)

    async def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """Send one request and read its answer, within the limit of bytes."""
        if self._http is None:
            self._http = create_http_client(self._settings)
        limit = self._settings.max_body_bytes
        chunks, size = [], 0
        request = httpx2.Request("GET", self._settings.base_url + path, headers={**HEADERS, **headers})
        try:
            async with aclosing(await self._http.send(request, stream=True)) as response:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > limit:
                        if not response.is_success:
                            break  # the status says enough
                        raise UnexpectedResponse(
                            f"The API's answer is larger than {limit} bytes, so it was not read. The operator may "
                            f"raise {variable('max_body_bytes')}.",
                            http_status=response.status_code,
                        )
                    chunks.append(chunk)
                return Answer(response.status_code, response.headers, b"".join(chunks))
        except httpx2.RequestError as error:
            logger.debug("request to %s failed: %s", path, type(error).__name__)
            raise transport_error(error, proxy_name(self._settings)) from None
