"""The settings of the hosted server: ``CALLERS_HTTP_*``.

Unlike over stdio, no mistake is replaced by a default: a placeholder, an unknown variable or an incomplete
configuration is an error.
"""

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from callers_mcp.settings import HTTP_PREFIX, SettingsError, is_loopback, is_placeholder, unknown_variables

MCP_PATH = "/mcp"
"""The path of the MCP endpoint on this server; a proxy may publish another one."""

Method = Literal["tokens", "oauth", "none"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostingSettings(BaseSettings):
    """The settings of one hosted server.

    The variable of a field is ``CALLERS_HTTP_`` and the field's name. Three fields come from the command line.

    Attributes:
        host: The address to listen on; from the command line.
        port: The port to listen on; from the command line.
        tls: Whether the server itself provides TLS; from the command line.
    """

    model_config = SettingsConfigDict(
        env_prefix=HTTP_PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    auth: Annotated[tuple[Method, ...] | None, NoDecode] = Field(
        default=None, description="who may call: tokens, oauth, both with a comma, or none"
    )
    token_file: Path | None = Field(default=None, description="the file with the tokens' digests")
    public_url: str | None = Field(
        default=None, description="the URL that hosts use, with its path; https, except on this machine"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="more accepted values of the Host header, comma separated"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(), description="addresses or networks of trusted proxies, comma separated"
    )
    oauth_issuer: str | None = Field(default=None, description="the issuer's URL; https, except on this machine")
    oauth_audience: str | None = Field(default=None, description="the value that the token's aud must contain")
    oauth_scope: str = Field(default="campaigns:read", description="the scope that a token needs")
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
    audit_file: Path | None = Field(default=None, description="the file for the audit log")

    host: str = Field(default="127.0.0.1", exclude=True)
    port: int = Field(default=8000, exclude=True)
    tls: bool = Field(default=False, exclude=True)

    @classmethod
    def from_environment(cls, **overrides: Any) -> "HostingSettings":
        """Read the settings from ``os.environ``; ``overrides`` replace single fields.

        Raises:
            SettingsError: A value is invalid; one line that names the variable and what it takes.
        """
        try:
            settings = cls(**overrides)
        except ValidationError as error:
            raise SettingsError(
                " ".join(_error_sentence(details["loc"], details["msg"]) for details in error.errors())
            ) from None
        if unknown := unknown_variables(HTTP_PREFIX, FIELDS):
            raise SettingsError(" ".join(unknown))
        return settings

    @property
    def url(self) -> str:
        """The URL that hosts use."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"{'https' if self.tls else 'http'}://{host}:{self.port}{MCP_PATH}"

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
    def refuses_forwarded(self) -> bool:
        """Whether requests through a proxy are refused, because ``CALLERS_HTTP_AUTH`` is not set."""
        return self.auth is None

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The values of the Host header that are accepted; ``:*`` matches any port."""
        public = _host_values(self.public_url) if self.public_url else ()
        own: tuple[str, ...] = ()
        if self.on_loopback:
            own = tuple(host + port for host in ("127.0.0.1", "localhost", "[::1]") for port in ("", ":*"))
        elif not _is_unspecified(self.host):
            host = f"[{self.host}]" if ":" in self.host else self.host
            own = _host_values(f"{'https' if self.tls else 'http'}://{host}:{self.port}")
        return (*own, *public, *self.allowed_hosts)

    @field_validator("auth", mode="before")
    @classmethod
    def _methods(cls, value: Any) -> Any:
        return tuple(part.lower() for part in _split(value)) if isinstance(value, str) else value

    @field_validator("public_url", "oauth_issuer")
    @classmethod
    def _url_is_safe(cls, url: str | None) -> str | None:
        return url if url is None else _safe_url(url)

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: Any) -> Any:
        hosts = tuple(part.lower() for part in _split(value)) if isinstance(value, str) else value
        if any("/" in host or "@" in host or host.startswith("*") for host in hosts):
            raise ValueError("is not a host")
        return hosts

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return tuple(ipaddress.ip_network(part) for part in _split(value)) if isinstance(value, str) else value

    @field_validator("oauth_scope")
    @classmethod
    def _scope(cls, scope: str) -> str:
        if any(character in scope for character in ' "\\') or not scope.isascii() or not scope.isprintable():
            raise ValueError("is not one scope")  # RFC 6749, section 3.3
        return scope

    @field_validator("metrics", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("is not host:port")
        return host.strip("[]"), int(port)

    @field_validator("token_file", "audit_file")
    @classmethod
    def _path(cls, path: Path | None) -> Path | None:
        try:
            return path and path.expanduser()
        except RuntimeError as error:  # ~NAME of a user who does not exist
            raise ValueError("is not a path") from error

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

    @model_validator(mode="before")
    @classmethod
    def _blank_is_default(cls, values: dict[str, Any]) -> dict[str, Any]:
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        for name, value in stripped.items():
            if isinstance(value, str) and is_placeholder(value):
                raise ValueError(f"{variable(name)} contains a placeholder that was not filled in.")
        return {name: value for name, value in stripped.items() if value != ""}

    @model_validator(mode="after")
    def _check_combination(self) -> "HostingSettings":
        """Refuse an incomplete configuration, above all one that would open the server to other machines."""
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
        for method in ("tokens", "oauth"):
            unused = [
                variable(name)
                for name in self.model_fields_set
                if name.startswith(method[:-1]) and method not in self.methods
            ]
            if unused:
                raise ValueError(
                    f"{' and '.join(sorted(unused))} would have no effect: {variable('auth')} does not have {method}."
                )
        return self


FIELDS = tuple(name for name, field in HostingSettings.model_fields.items() if not field.exclude)
"""The fields that can be set by an environment variable."""


def variable(field: str) -> str:
    """Return the environment variable of a field of ``HostingSettings``."""
    return HTTP_PREFIX + field.upper()


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


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not secure or not parts.hostname or parts.username or parts.query or parts.fragment or not url.isprintable():
        raise ValueError("is not a usable URL")
    if parts.port == 0 or " " in url or not url.isascii():
        raise ValueError("is not a usable URL")
    return url


def _split(value: str) -> Iterable[str]:
    return (part.strip() for part in value.split(",") if part.strip())


def _error_sentence(location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return message.removeprefix("Value error, ")
    field = str(location[0])
    return (
        f"{variable(field)} has a value that can't be used; it takes {HostingSettings.model_fields[field].description}."
    )
