"""The settings, read once from the environment variables ``CALLERS_*``."""

import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "CALLERS_"
MAIN = "main"
"""Means the main organization where a sub-organization's id is expected."""

SUB_ORGANIZATION_ID = re.compile(r"[!-~]{1,128}")
"""A valid value of ``x-sub-organization-id``: visible ASCII without spaces."""

HTTP_PREFIX = f"{PREFIX}HTTP_"
"""Prefix of the variables of a hosted server; ``callers_mcp.http.settings`` reads them."""

# Kubernetes sets these variables in each container, if a service's name starts with the prefix of our variables.
_SERVICE_LINK = re.compile(r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)")

# Placeholders that hosts leave if a variable was not filled in, and that people leave in a pasted snippet.
_PLACEHOLDER = re.compile(r".*\$\{[^}]*\}.*|\$\w+|%\w+%|\{\{.*\}\}|<.*>", re.DOTALL)
_KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class SettingsError(ValueError):
    """A setting has a value that can't be used; the message says which variable, and what it takes."""


class Settings(BaseSettings):
    """The settings of a server; each is set by the environment variable ``CALLERS_`` and the field's name.

    A blank value means the default. A placeholder that a host left (``${...}``) is never used as a value. For the key
    and the sub-organizations, the variable is added to ``unresolved``, and a look-up fails until it is set. For other
    settings, the default is used, and ``notices`` reports it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    api_key: SecretStr | None = Field(default=None, description="the organization's API key, one line of visible ASCII")
    api_key_file: Path | None = Field(default=None, description="a file with the key, read again when it changes")
    base_url: str = Field(
        default="https://api.callers.ai",
        description="an https URL, or http on loopback, without user info, query or fragment",
    )
    sub_organization_id: str | None = Field(
        default=None, description="a sub-organization's id, or main; used if a call does not name an organization"
    )
    sub_organizations: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        default=None,
        description="the only organizations that calls may read: ids and the word main, comma separated",
    )
    organization_id: str | None = Field(
        default=None,
        description="the main organization's id; needed to list its campaigns, and to hide its campaigns from callers "
        "who may not see them",
    )
    timeout: float = Field(
        default=30.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="seconds for a whole look-up, more than 0, at most 600",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=10, description="the largest number of tries of one look-up, the first included, 1 to 10"
    )
    max_connections: int = Field(default=100, ge=1, le=1000, description="connections to the API at once, 1 to 1000")
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=67_108_864, description="largest answer in bytes, decompressed, 1024 to 67108864"
    )
    list_max_body_bytes: int = Field(
        default=16_777_216,
        ge=1024,
        le=268_435_456,
        description="largest list of campaigns in bytes, decompressed, 1024 to 268435456",
    )
    list_cache_seconds: float = Field(
        default=60.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="seconds for which a list of campaigns is kept, at most 3600; 0 disables it",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )
    redact_urls: bool = Field(
        default=False, description="on or off: whether webhook and Slack URLs in raw keep only scheme and host"
    )

    _unresolved: tuple[str, ...] = PrivateAttr(())
    _notices: tuple[str, ...] = PrivateAttr(())

    @classmethod
    def from_environment(cls, **overrides: Any) -> "Settings":
        """Read the settings from ``os.environ``; ``overrides`` replace the values of the fields that they name.

        Raises:
            SettingsError: A value can't be used. The message is one line, without the value of a key.
        """
        try:
            settings = cls(**overrides)
        except ValidationError as error:
            raise SettingsError(
                " ".join(_error_sentence(details["loc"], details["msg"]) for details in error.errors())
            ) from None
        settings._notices = (*settings._notices, *unknown_variables(PREFIX, Settings.model_fields))
        return settings

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The variables of the key and the sub-organizations in which a host left a placeholder."""
        return self._unresolved

    @property
    def notices(self) -> tuple[str, ...]:
        """Warnings for the operator: unknown variables, placeholders that were replaced by defaults."""
        return self._notices

    @property
    def base_url_is_loopback(self) -> bool:
        """Whether the API is on this machine; if so, no proxy is used and http is allowed."""
        return is_loopback(httpx2.URL(self.base_url).host)

    @model_validator(mode="wrap")
    @classmethod
    def _apply_defaults(cls, values: dict[str, Any], handler: Any) -> "Settings":
        unresolved, notices, resolved = [], [], {}
        for name, value in values.items():
            text = value.strip() if isinstance(value, str) else value
            if text == "":
                continue
            if not (isinstance(text, str) and is_placeholder(text)):
                resolved[name] = text
            elif name in ("api_key", "api_key_file", "sub_organization_id", "sub_organizations"):
                unresolved.append(variable(name))
            else:
                notices.append(
                    f"{variable(name)} holds a placeholder that the host did not fill in; the default is used."
                )
        settings: Settings = handler(resolved)
        settings._unresolved, settings._notices = tuple(unresolved), tuple(notices)
        return settings

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not is_key(key.get_secret_value()):
            raise ValueError("has characters that no HTTP header can carry")
        return key

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str) -> str:
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise ValueError("is not a URL") from error
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.host))
        if (
            not (secure and parts.host and (parts.port is None or 0 < parts.port < 65_536))
            or "@" in url
            or "?" in url
            or "#" in url
            or not re.fullmatch(r"[!-~]+", url)
        ):
            raise ValueError("is not a usable base URL")
        return f"{parts.scheme}{url[len(parts.scheme) :].rstrip('/')}"

    @field_validator("organization_id")
    @classmethod
    def _check_organization_id(cls, organization_id: str | None) -> str | None:
        if organization_id is not None and not SUB_ORGANIZATION_ID.fullmatch(organization_id):
            raise ValueError("is not an id")
        return organization_id

    @field_validator("sub_organization_id")
    @classmethod
    def _normalize_sub_organization(cls, organization: str | None) -> str | None:
        return None if organization is None else _normalized_organization(organization)

    @field_validator("sub_organizations", mode="before")
    @classmethod
    def _normalize_sub_organizations(cls, organizations: Any) -> Any:
        if isinstance(organizations, str):
            organizations = [organization.strip() for organization in organizations.split(",") if organization.strip()]
            if not organizations:
                raise ValueError("lists nothing")  # "," must not allow every organization
        return (
            organizations
            if organizations is None
            else tuple(_normalized_organization(organization) for organization in organizations)
        )

    @field_validator("log_level", mode="before")
    @classmethod
    def _normalize_log_level(cls, level: Any) -> Any:
        return level.upper() if isinstance(level, str) else level

    @model_validator(mode="after")
    def _check_combination(self) -> "Settings":
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError(f"Set {variable('api_key')} or {variable('api_key_file')}, not both.")
        default, allowed = self.sub_organization_id, self.sub_organizations
        if default is not None and allowed is not None and default not in allowed:
            raise ValueError(f"{variable('sub_organization_id')} must be one of {variable('sub_organizations')}.")
        return self


def variable(field: str) -> str:
    """Return the environment variable of a field of ``Settings``."""
    return PREFIX + field.upper()


def is_placeholder(text: str) -> bool:
    """Return whether ``text`` is a placeholder of a host or a snippet, not a value."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Return whether ``text`` can be an API key: a valid header value without spaces around it."""
    return _KEY.fullmatch(text) is not None


def _normalized_organization(organization: str) -> str:
    if not SUB_ORGANIZATION_ID.fullmatch(organization):
        raise ValueError("is not an id")
    return MAIN if organization.lower() == MAIN else organization


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a loopback address or ``localhost``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error_sentence(location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return message.removeprefix("Value error, ")
    field = str(location[0])
    return f"{variable(field)} has a value that can't be used; it takes {Settings.model_fields[field].description}."


def unknown_variables(prefix: str, fields: Iterable[str]) -> list[str]:
    """Return a notice for each environment variable with ``prefix`` that is not a setting, with the closest name.

    The variables of a hosted server, which checks them itself, and those that Kubernetes sets are left out.
    """
    known = [prefix + field.upper() for field in fields]
    unknown = [
        name
        for name in os.environ
        if name.upper().startswith(prefix)
        and name.upper() not in known
        and not (prefix == PREFIX and name.upper().startswith(HTTP_PREFIX))
        and not _SERVICE_LINK.fullmatch(name)
    ]
    if not unknown:
        return []
    from difflib import get_close_matches

    return [
        f"{name} is not a setting of callers-mcp"
        + (f"; did you mean {near[0]}?" if (near := get_close_matches(name, known, 1)) else ".")
        for name in sorted(unknown)
    ]
