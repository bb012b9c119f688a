"""The hosted server as one ASGI application: middleware, the SDK's transport, look-ups, audit log and metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from mcp.server.context import ServerRequestContext
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette

from callers_mcp.access import Principal
from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import NotConfigured
from callers_mcp.api.key import KeySource, require_no_placeholder
from callers_mcp.http.auth.bearer import Authenticator
from callers_mcp.http.auth.jwks import IssuerKeys
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.auth.token_store import default_path
from callers_mcp.http.auth.tokens import TokenAuthenticator
from callers_mcp.http.discovery import public_documents
from callers_mcp.http.middleware import PRINCIPAL_KEY, HttpMiddleware
from callers_mcp.http.ops.audit import AuditLog
from callers_mcp.http.ops.metrics import Metrics
from callers_mcp.http.ops.rate_limit import RateLimiter
from callers_mcp.http.ops.readiness import HealthCheck, Readiness
from callers_mcp.http.settings import MCP_PATH, HostingSettings
from callers_mcp.server.create import create_server
from callers_mcp.settings import Settings

logger = logging.getLogger(__name__)


class _WatchedKey(KeySource):
    """Logs an error when the key can't be read any more. Each look-up's audit line and each probe reads it."""

    _is_usable = False

    def current(self) -> str:
        was_usable, self._is_usable = self._is_usable, False
        try:
            key = super().current()
        except NotConfigured as error:
            if was_usable:
                logger.error("look-ups fail until the key can be read again: %s", error.message_for_person)
            raise
        self._is_usable = True
        return key


class HostedServer:
    """All parts of the hosted server.

    Args:
        settings: The key, the base URL, the limits.
        hosting: The ``CALLERS_HTTP_*`` settings.
        instructions: Replaces the default instructions for the model.

    Raises:
        NotConfigured: There is no usable key.
        TokenFileError: The token file can't be read.
        SettingsError: The audit file can't be written.

    Attributes:
        settings: The first argument.
        hosting: The second argument.
        app: The ASGI application.
        readiness: Whether the server is ready; its ``draining`` is set when the process stops.
        metrics: The metrics of this process, which the caller serves; ``None`` if they are off.
    """

    def __init__(self, settings: Settings, hosting: HostingSettings, *, instructions: str | None = None) -> None:
        self.settings, self.hosting = settings, hosting
        keys = _WatchedKey(settings)
        keys.current()
        require_no_placeholder(settings, "sub_organization_id", "sub_organizations")
        tokens = TokenAuthenticator(hosting.token_file or default_path()) if "tokens" in hosting.methods else None
        store = hosting.rate_limit_storage.get_secret_value()
        self._limiter = RateLimiter(hosting.rate_limit, store) if hosting.rate_limit else None
        self._audit = AuditLog(hosting.audit_file, keys.mask)
        self.metrics = Metrics(self._audit) if hosting.metrics else None
        checks: dict[str, HealthCheck] = {"key": lambda: _key_problem(keys), "audit": lambda: self._audit.problem}
        warnings: dict[str, HealthCheck] = {}
        if tokens:
            checks["tokens"] = lambda: tokens.problem
        self._oauth = None
        if "oauth" in hosting.methods:
            on_failure = self.metrics.count_key_fetch_failure if self.metrics else lambda: None
            issuer_keys = IssuerKeys(hosting.oauth_issuer or "", on_failure=on_failure)
            self._oauth = OAuthVerifier(
                issuer_keys, hosting.audience, hosting.oauth_scope, hosting.oauth_organizations_claim
            )
            warnings["sign-in"] = lambda: issuer_keys.problem
            if not tokens:  # without keys, no caller can be verified
                checks["sign-in"] = lambda: None if issuer_keys.usable else issuer_keys.problem
        self.readiness = Readiness(checks, warnings)
        client = CallersClient(
            settings,
            observer=self.metrics or self._audit,
            rate_limit_hook=self._limiter.admit if self._limiter else None,
        )
        server = create_server(settings, instructions=instructions, client=client, get_principal=_get_principal)
        sdk_app = server.streamable_http_app(
            streamable_http_path=MCP_PATH,
            json_response=True,
            stateless_http=True,
            # HttpMiddleware has it.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self._run_sdk = sdk_app.router.lifespan_context
        sdk_app.router.lifespan_context = self._lifespan
        metrics = self.metrics
        self.app = HttpMiddleware(
            sdk_app,
            hosting,
            Authenticator(hosting, tokens, self._oauth, metrics.count_rejection if metrics else lambda reason: None),
            self.readiness,
            metrics.count_over_capacity if metrics else lambda: None,
            public_documents(hosting, server),
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(self._audit.close)
            if self._limiter:
                stack.push_async_callback(self._limiter.aclose)
            if self._oauth:
                stack.push_async_callback(self._oauth.keys.aclose)
                stack.callback(asyncio.ensure_future(self._oauth.keys.refresh()).cancel)  # it may be slow or down
            await stack.enter_async_context(self._run_sdk(app))
            yield


def _get_principal(ctx: ServerRequestContext[CallersClient]) -> Principal:
    """Return the principal that the middleware verified."""
    principal = ctx.request.scope[PRINCIPAL_KEY] if ctx.request else None
    if not isinstance(principal, Principal):
        raise PermissionError("no verified principal")
    return principal


def _key_problem(keys: KeySource) -> str | None:
    try:
        keys.current()
    except NotConfigured as error:
        return error.message
    return None
