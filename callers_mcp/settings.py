"""The settings, read once from the environment variables ``CALLERS_*``."""

import codecs
import ipaddress
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import httpx2
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

PREFIX = "CALLERS_"
MAIN = "main"
"""Means the main organization where a sub-organization's id is expected."""

_ORGANIZATION_ID = re.compile(r"[!-~]{1,128}")  # what the header x-sub-organization-id can carry

HTTP_PREFIX = f"{PREFIX}HTTP_"
"""Prefix of the variables of a hosted server; ``callers_mcp.http.settings`` reads them."""

# Kubernetes sets these variables in each container, if a service's name starts with the prefix of our variables.
_SERVICE_LINK = re.compile(r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)")

# Placeholders that hosts, shells and secret stores leave if a value was not filled in, and that people leave in a
# pasted snippet.
_PLACEHOLDER = re.compile(
    r".*\$\{\{?[^{}]*\}.*|\{.*\}|<.*>|\[[^:\]]*\]|\$\(.*\)|#\{.*\}#?|__\w+__"
    r"|(?:\$(?:env:)?\w+|%\w+%)(?:[/\\].*)?"
    r"|(?:op|bws?|env|keychain|keyring|secrets?|vault)://.*|@Microsoft\.KeyVault\(.*\)"
    r"|(?:your|insert|enter|paste|put|replace|change)[-_ ].*|(?:replace|change)me|(?-i:(?:CALLERS_)?API_KEY)"
    r"|[.*x\u2022\u2026]{3,}|placeholder|todo",
    re.DOTALL | re.IGNORECASE,
)
_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
_KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_URL_CHARACTERS = re.compile(r"[!\"$->@-~]+")  # visible ASCII without ? and #

SECURE_URL = "an https URL, or http on loopback"
"""The URLs that a key or a token may be sent to, in words; ``check_url`` and ``is_secure`` check them."""

HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+")
"""A name or an address of a host, without a port."""


class SettingsError(ValueError):
    """A setting has a value that can't be used; the message says which variable, and what it takes."""


def expand_user(path: Path) -> Path:
    """Return ``path`` with the home folder for ``~``; unchanged if there is no such user, so that it is not found."""
    with suppress(RuntimeError):
        return path.expanduser()
    return path


def split_list(value: Any) -> Any:
    """Return the parts of a comma-separated text that are not blank; another value as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def check_url(url: str) -> str:
    """Return ``url`` if it is ``SECURE_URL`` without user info, query and fragment.

    Raises:
        ValueError: It is not.
    """
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError("is not a URL") from error
    has_valid_port = parts.port is None or 0 < parts.port < 65_536
    if not (is_secure(parts.scheme, parts.host) and has_valid_port and _URL_CHARACTERS.fullmatch(url)):
        raise ValueError("is not a usable URL")
    if parts.userinfo:
        raise ValueError("has a user name")
    return url


def is_secure(scheme: str, host: str) -> bool:
    """Return whether a URL with this scheme and host is ``SECURE_URL``."""
    return bool(host) and (scheme == "https" or (scheme == "http" and is_loopback(host)))


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a loopback address or ``localhost``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_placeholder(text: str) -> bool:
    """Return whether ``text``, or a part of it between commas, is a placeholder, not a value."""
    return any(_PLACEHOLDER.fullmatch(part.strip()) for part in (text, *text.split(",")))


def _is_quoted(text: str) -> bool:
    return any(_QUOTED.fullmatch(part.strip()) for part in (text, *text.split(",")))


def is_key(text: str) -> bool:
    """Return whether ``text`` can be an API key: a valid header value without spaces or quotes around it."""
    return bool(_KEY.fullmatch(text) and not _is_quoted(text))


def decode_key(content: bytes) -> str:
    """Return the text of a key file, without spaces around it; Notepad and PowerShell write a byte order mark."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, "replace").strip()


def parse_organization(organization: str) -> str:
    """Return a sub-organization's id, or ``main`` for this word in any case.

    Raises:
        ValueError: It is not an id: visible ASCII without spaces, at most 128 characters.
    """
    if not _ORGANIZATION_ID.fullmatch(organization):
        raise ValueError("is not an id")
    return MAIN if organization.lower() == MAIN else organization


UserPath = Annotated[Path, AfterValidator(expand_user)]
CommaSeparated = BeforeValidator(split_list)
OrganizationId = Annotated[str, AfterValidator(parse_organization)]
"""A sub-organization's id, or ``main``."""


class EnvironmentSettings(BaseModel):
    """Settings that are read from environment variables: ``_prefix`` and the field's name, in any case.

    A blank value means the default. A placeholder that a host left (``${...}``) is never used as a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    _prefix: ClassVar[str]
    _never_default: ClassVar[tuple[str, ...]] = ()  # the fields whose placeholders the class itself reports
    _placeholders: tuple[str, ...] = PrivateAttr(())
    _unknown_variables: tuple[str, ...] = PrivateAttr(())

    def __init__(self, **overrides: Any) -> None:
        # Not pydantic-settings: it imports all its other sources, which takes 27 ms.
        environment = {name.upper(): value for name, value in os.environ.items()}
        names = [name for name in type(self).model_fields if self.variable(name) in environment]
        super().__init__(**{name: environment[self.variable(name)] for name in names} | overrides)

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Read the settings from ``os.environ``; ``overrides`` replace the values of the fields that they name.

        Raises:
            SettingsError: A value can't be used. The message is one line, without the value of a key.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            problems = (cls._problem(details["loc"], details["msg"]) for details in error.errors())
            raise SettingsError(" ".join(problems)) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable of a field."""
        return f"{cls._prefix}{field.upper()}"

    @property
    def notices(self) -> tuple[str, ...]:
        """Warnings for the operator: placeholders that were replaced by defaults, unknown variables."""
        replaced = [self.variable(field) for field in self._placeholders if field not in self._never_default]
        notices = [f"{name} holds a placeholder that was not filled in; set or remove it." for name in replaced]
        return (*notices, *self._unknown_variables)

    @model_validator(mode="wrap")
    @classmethod
    def _apply_defaults(cls, values: dict[str, Any], handler: Any) -> Self:
        texts = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        quoted = [name for name, text in texts.items() if isinstance(text, str) and _is_quoted(text)]
        if quoted:
            raise ValueError(
                f"{' and '.join(map(cls.variable, quoted))} has quotes around the value; remove them. A file of "
                "variables for docker, for example, takes values without quotes."
            )
        placeholders = [name for name, text in texts.items() if isinstance(text, str) and is_placeholder(text)]
        settings: Self = handler(
            {name: text for name, text in texts.items() if text != "" and name not in placeholders}
        )
        settings._placeholders = tuple(placeholders)
        settings._unknown_variables = tuple(cls._find_unknown_variables())
        return settings

    @classmethod
    def _problem(cls, location: tuple[int | str, ...], message: str) -> str:
        if not location:
            return message.removeprefix("Value error, ")
        field = str(location[0])
        if field not in cls.model_fields:
            return f"{field} is not a setting."
        return f"{cls.variable(field)} has a value that can't be used; it takes {cls.model_fields[field].description}."

    @classmethod
    def _find_unknown_variables(cls) -> list[str]:
        """Return a notice for each environment variable with the prefix that is not a setting, with the closest name.

        The variables of a hosted server, which checks them itself, and those that Kubernetes sets are left out.
        """
        prefix = cls.variable("")
        known = [cls.variable(name) for name, field in cls.model_fields.items() if not field.exclude]
        unknown = [
            name
            for name in sorted(os.environ)
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
            for name in unknown
        ]


class Settings(EnvironmentSettings):
    """The settings of a server; each is set by the environment variable ``CALLERS_`` and the field's name.

    If the key's or the sub-organizations' variable holds a placeholder, it is added to ``unresolved``, and a look-up
    fails until it is set. For other settings, the default is used, and ``notices`` reports it.
    """

    _prefix: ClassVar = PREFIX
    _never_default: ClassVar = ("api_key", "api_key_file", "sub_organization_id", "sub_organizations")

    api_key: SecretStr | None = Field(default=None, description="the organization's API key, one line of visible ASCII")
    api_key_file: UserPath | None = Field(default=None, description="a file with the key, read again when it changes")
    base_url: str = Field(
        default="https://api.callers.ai",
        description=f"{SECURE_URL}, without user info, query or fragment",
    )
    sub_organization_id: OrganizationId | None = Field(
        default=None, description="a sub-organization's id, or main; used if a call does not name an organization"
    )
    sub_organizations: Annotated[tuple[OrganizationId, ...] | None, CommaSeparated] = Field(
        default=None,
        min_length=1,  # "," must not allow every organization
        description="the only organizations that calls may read: ids and the word main, comma separated",
    )
    organization_id: str | None = Field(
        default=None,
        pattern="^[0-9A-Fa-f]{24}$",
        description="the main organization's id, 24 hexadecimal digits; needed to list its campaigns, and to hide them "
        "from callers who may not see them",
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
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
    ] = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    redact_urls: bool = Field(
        default=False, description="on or off: whether webhook and Slack URLs in raw keep only scheme and host"
    )

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The variables of the key and the sub-organizations in which a host left a placeholder."""
        return tuple(self.variable(field) for field in self._placeholders if field in self._never_default)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not is_key(key.get_secret_value()):
            raise ValueError("has characters that no HTTP header can carry")
        return key

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str) -> str:
        scheme, _, rest = check_url(url).partition(":")
        return f"{scheme.lower()}:{rest.rstrip('/')}"

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
    return Settings.variable(field)
