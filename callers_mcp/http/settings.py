"""The settings of the hosted server: ``CALLERS_HTTP_*``.

Unlike over stdio, no mistake is replaced by a default: a placeholder, an unknown variable or an incomplete
configuration is an error.
"""

import ipaddress
import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from callers_mcp.settings import (
    HTTP_PREFIX,
    SECURE_URL,
    CommaSeparated,
    EnvironmentSettings,
    UserPath,
    check_url,
    is_loopback,
)

MCP_PATH = "/mcp"
"""The path of the MCP endpoint on this server; a proxy may publish another one."""

Method = Literal["tokens", "oauth", "none"]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Url = Annotated[str, AfterValidator(check_url)]
# With two labels at least, and not an address. Its length leaves room for the rest of the Server Card's name.
_DNS_NAME = re.compile(r"(?=.{1,188}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_lower_case = BeforeValidator(lambda text: text.lower() if isinstance(text, str) else text)


class HostingSettings(EnvironmentSettings):
    """The settings of one hosted server.

    The variable of a field is ``CALLERS_HTTP_`` and the field's name. Three fields come from the command line.

    Attributes:
        host: The address to listen on; from the command line.
        port: The port to listen on; from the command line.
        tls: Whether the server itself provides TLS; from the command line.
    """

    _prefix: ClassVar = HTTP_PREFIX

    auth: Annotated[tuple[Annotated[Method, _lower_case], ...] | None, CommaSeparated] = Field(
        default=None, description="who may call: tokens, oauth, both with a comma, or none"
    )
    token_file: UserPath | None = Field(default=None, description="the file with the tokens' digests")
    public_url: Annotated[_Url, Field(pattern="^[^%]*$")] | None = Field(
        default=None, description=f"the URL that hosts use, with its path and without escapes (%20); {SECURE_URL}"
    )
    allowed_hosts: Annotated[
        tuple[Annotated[str, _lower_case, Field(pattern="^[^*/@][^/@]*$")], ...], CommaSeparated
    ] = Field(default=(), description="more accepted values of the Host header, comma separated")
    trusted_proxies: Annotated[tuple[_Network, ...], CommaSeparated] = Field(
        default=(), description="addresses or networks of trusted proxies, comma separated"
    )
    oauth_issuer: _Url | None = Field(default=None, description=f"the issuer's URL; {SECURE_URL}")
    oauth_audience: str | None = Field(default=None, description="the value that the token's aud must contain")
    oauth_scope: str = Field(  # one scope, by RFC 6749, section 3.3
        default="campaigns:read", pattern=r"^[!#-\[\]-~]+$", description="the scope that a token needs"
    )
    oauth_organizations_claim: str = Field(
        default="callers_organizations", description="the claim that lists the organizations that the caller may see"
    )
    rate_limit: str | None = Field(default=None, description="look-ups that one caller may make, such as 120/minute")
    rate_limit_storage: SecretStr = Field(
        default=SecretStr("memory://"), description="memory:// (each instance counts its own look-ups) or redis://..."
    )
    max_calls: int = Field(default=200, ge=1, le=10_000, description="concurrent calls in one instance, 1 to 10000")
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=300,
        allow_inf_nan=False,
        description="seconds for which new calls are still accepted after SIGTERM, 0 to 300",
    )
    metrics: tuple[str, int] | None = Field(default=None, description="the address that serves the metrics, host:port")
    audit_file: UserPath | None = Field(default=None, description="the file for the audit log")
    server_card: bool = Field(
        default=False, description="on or off: whether the Server Card and a catalog that lists it are public"
    )

    host: str = Field(default="127.0.0.1", exclude=True)
    port: int = Field(default=8000, exclude=True)
    tls: bool = Field(default=False, exclude=True)

    @property
    def url(self) -> str:
        """The URL that hosts use."""
        return self.public_url or f"{self._origin}{MCP_PATH}"

    @property
    def address(self) -> str:
        """The host and port that the server listens on."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def _origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def audience(self) -> str:
        """The audience that an OAuth token must have."""
        return self.oauth_audience or self.url

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def methods(self) -> frozenset[Method]:
        """The ways to authenticate; empty if the server requires no authentication."""
        return frozenset(self.auth or ()) - {"none"}

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The values of the Host header that are accepted, that of the public URL first; ``:*`` matches any port."""
        public = _host_values(self.public_url) if self.public_url else ()
        own: tuple[str, ...] = ()
        if self.on_loopback:
            own = tuple(host + port for host in ("127.0.0.1", "localhost", "[::1]") for port in ("", ":*"))
        elif not _is_unspecified(self.host):
            own = _host_values(self._origin)
        return (*public, *self.allowed_hosts, *own)

    @field_validator("metrics", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("is not host:port")
        return host.strip("[]"), int(port)

    @field_validator("rate_limit")
    @classmethod
    def _rate(cls, rate: str | None) -> str | None:
        if rate is not None:
            from callers_mcp.http.ops.rate_limit import parse_rate

            parse_rate(rate)
        return rate

    @field_validator("rate_limit_storage")
    @classmethod
    def _storage(cls, url: SecretStr) -> SecretStr:
        from callers_mcp.http.ops.rate_limit import check_storage

        check_storage(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _check_combination(self) -> "HostingSettings":
        """Refuse an incomplete configuration, above all one that would open the server to other machines."""
        if self.notices:
            raise ValueError(" ".join(self.notices))
        reachable = self.public_url or self.allowed_hosts or self.trusted_proxies
        if self.auth is None and (reachable or not self.on_loopback):
            raise ValueError(
                f"Set {variable('auth')} if other machines may reach the server: to tokens, to oauth, or to none if a "
                "gateway in front of it authenticates callers."
            )
        if self.auth is not None and (not self.auth or ("none" in self.auth and len(self.auth) > 1)):
            raise ValueError(f"{variable('auth')} takes tokens, oauth, both with a comma, or only none.")
        if not self.on_loopback and not self.tls and not self.trusted_proxies:
            raise ValueError(
                "Outside loopback, tokens and campaigns must be encrypted: give --certfile and --keyfile, or set "
                f"{variable('trusted_proxies')} to the address of the proxy that provides TLS."
            )
        if not self.known_hosts:
            raise ValueError(f"Set {variable('public_url')} if the server listens on every address.")
        if "oauth" in self.methods:
            missing = [] if self.oauth_issuer else ["oauth_issuer"]
            missing += [] if self.public_url or self.on_loopback else ["public_url"]
            if missing:
                raise ValueError(f"{' and '.join(map(variable, missing))} must be set for oauth.")
        host = urlsplit(self.public_url or "").hostname or ""
        if self.server_card and not (self.methods and _DNS_NAME.fullmatch(host)):
            raise ValueError(
                f"{variable('server_card')} needs tokens or oauth in {variable('auth')}, and a DNS name in "
                f"{variable('public_url')}, such as https://callers.example.com/mcp."
            )
        if "rate_limit_storage" in self.model_fields_set and not self.rate_limit:
            raise ValueError(
                f"{variable('rate_limit_storage')} would have no effect: {variable('rate_limit')} is not set."
            )
        for method in sorted({"tokens", "oauth"} - self.methods):
            unused = sorted(variable(name) for name in self.model_fields_set if name.startswith(method[:-1]))
            if unused:
                raise ValueError(
                    f"{' and '.join(unused)} would have no effect: {variable('auth')} does not have {method}."
                )
        return self


def variable(field: str) -> str:
    """Return the environment variable of a field of ``HostingSettings``."""
    return HostingSettings.variable(field)


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _host_values(url: str) -> tuple[str, ...]:
    """Return the Host values that clients of ``url`` send; most omit the default port of the scheme."""
    parts = urlsplit(url.lower())
    default_port = 443 if parts.scheme == "https" else 80
    host = parts.netloc.removesuffix(f":{default_port}")
    return (host, f"{host}:{default_port}") if parts.port in (None, default_port) else (host,)
