"""Bearer authentication: turns a request's headers into a verified principal, or into the rejection that MCP specifies.

Source: https://modelcontextprotocol.io/specification/2025-11-25/basic/authorization, RFC 6750, RFC 9728.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from callers_mcp.access import ANONYMOUS, Principal
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.auth.token_store import TOKEN_PATTERN
from callers_mcp.http.auth.tokens import TokenAuthenticator
from callers_mcp.http.rejections import HttpRejection, InsufficientScope, Unauthenticated
from callers_mcp.http.settings import HostingSettings

logger = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]

METADATA_PATH = "/.well-known/oauth-protected-resource"
"""Where hosts find the metadata of a protected resource (RFC 9728, section 3)."""


class Authenticator:
    """Verifies the principal of a request.

    Args:
        hosting: The accepted methods, and the values for the metadata.
        tokens: Checks API tokens; ``None`` if they are not accepted.
        oauth: Checks the issuer's access tokens; ``None`` if they are not accepted.
        on_rejection: Receives the reason of each rejection, for the metrics.
    """

    def __init__(
        self,
        hosting: HostingSettings,
        tokens: TokenAuthenticator | None,
        oauth: OAuthVerifier | None,
        on_rejection: Callable[[str], None],
    ) -> None:
        self._hosting = hosting
        self._tokens = tokens
        self._oauth = oauth
        self._on_rejection = on_rejection
        self._metadata_url = _metadata_url(hosting.url) if oauth else None

    async def authenticate(self, headers: Headers) -> Principal:
        """Return the principal of a request; ``ANONYMOUS`` if the server requires no authentication.

        Raises:
            HttpRejection: There is no token, or it is not valid.
        """
        if not self._hosting.methods:
            return ANONYMOUS
        token = _bearer_token(headers)
        # The pattern decides which check a token gets; no token gets both.
        if self._oauth is None or TOKEN_PATTERN.fullmatch(token):
            principal = self._tokens.authenticate(token) if self._tokens else None
            if principal is None:
                raise Unauthenticated("This token is unknown or was revoked.", reason="unknown")
            return principal
        return await self._oauth.verify(token)

    def rejection_headers(self, rejection: HttpRejection, client: str) -> dict[str, str]:
        """Count and log a refused request, and return the headers of its response.

        Args:
            rejection: Why it is refused.
            client: The address of the client, for the log.
        """
        self._on_rejection(rejection.reason)
        # Hosts send a first request without a token to learn that they need one.
        level = logging.INFO if rejection.reason == "missing" else logging.WARNING
        detail = rejection.detail and f" {rejection.detail}"
        logger.log(
            level, "refused: status=%d reason=%s client=%s%s", rejection.status, rejection.reason, client, detail
        )
        challenged = isinstance(rejection, Unauthenticated | InsufficientScope)
        challenge = {"WWW-Authenticate": self._challenge(rejection)} if challenged else {}
        return {"Cache-Control": "no-store", **challenge}

    def metadata(self) -> Mapping[str, object] | None:
        """Return the protected resource's metadata, with the issuer (RFC 9728, section 2); ``None`` without OAuth."""
        if self._metadata_url is None:
            return None
        return {
            "resource": self._hosting.url,
            "authorization_servers": [self._hosting.oauth_issuer],
            "scopes_supported": [self._hosting.oauth_scope],
            "bearer_methods_supported": ["header"],
            "resource_name": "Callers campaigns",
        }

    def _challenge(self, rejection: HttpRejection) -> str:
        values = {"error": rejection.error, "error_description": rejection.error and rejection.description}
        if self._metadata_url:
            values |= {"resource_metadata": self._metadata_url, "scope": self._hosting.oauth_scope}
        return " ".join(("Bearer", ", ".join(f'{name}="{value}"' for name, value in values.items() if value))).strip()


def _bearer_token(headers: Headers) -> str:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise Unauthenticated("Send a token: Authorization: Bearer ...", reason="missing")
    scheme, _, token = values[0].decode("latin-1").strip().partition(" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != "bearer" or not token or not token.isascii() or " " in token:
        raise Unauthenticated("The Authorization header must contain one token: Bearer ...", reason="malformed")
    return token


def _metadata_url(resource: str) -> str:
    """Return the URL of a resource's metadata (RFC 9728, section 3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{parts.path.rstrip('/')}"
