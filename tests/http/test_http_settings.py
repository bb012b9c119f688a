"""What ``CALLERS_HTTP_*`` may hold: a wrong or incomplete configuration is an error, and nothing is open by default."""

import pytest

from callers_mcp.http.settings import HostingSettings
from callers_mcp.settings import SettingsError

ISSUER = "https://sign-in.example.com"
OAUTH = {"AUTH": "oauth", "OAUTH_ISSUER": ISSUER}
CARD = {"SERVER_CARD": "on"}
LONG = 3 * (62 * "a" + ".")
PUBLIC = {"PUBLIC_URL": "https://mcp.example.com/mcp"}


def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, **given: object) -> HostingSettings:
    for name, value in environment.items():
        monkeypatch.setenv(f"CALLERS_HTTP_{name}", value)
    return HostingSettings.from_environment(**given)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"AUTH": "basic"}, "AUTH"),
        ({"AUTH": ","}, "AUTH"),
        ({"AUTH": "none,tokens"}, "AUTH"),
        ({"AUTH": "oauth"}, "OAUTH_ISSUER"),
        ({"AUTH": "tokens", "OAUTH_ISSUER": ISSUER}, "AUTH"),
        ({"OAUTH_AUDIENCE": "x"}, "AUTH"),
        (PUBLIC, "AUTH"),
        ({"ALLOWED_HOSTS": "mcp.example.com"}, "AUTH"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "AUTH"),
        ({"AUTH": "none", "PUBLIC_URL": "http://mcp.example.com/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "mcp.example.com"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://user:secret@mcp.example.com/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/mcp?x=1"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/mcp#x"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com:99999/mcp"}, "PUBLIC_URL"),
        ({"AUTH": "none", "PUBLIC_URL": "https://mcp.example.com/${PATH}"}, "PUBLIC_URL"),
        ({"AUTH": "none", "ALLOWED_HOSTS": "https://mcp.example.com"}, "ALLOWED_HOSTS"),
        ({"AUTH": "none", "ALLOWED_HOSTS": "a.example.com,*"}, "ALLOWED_HOSTS"),
        ({"AUTH": "none", "TRUSTED_PROXIES": "proxy.example.com"}, "TRUSTED_PROXIES"),
        ({"AUTH": "none", "TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        (OAUTH | {"OAUTH_ISSUER": "http://sign-in.example.com"}, "OAUTH_ISSUER"),
        (OAUTH | {"OAUTH_ISSUER": "<your issuer>"}, "OAUTH_ISSUER"),
        (OAUTH | {"OAUTH_SCOPE": "a b"}, "OAUTH_SCOPE"),
        (OAUTH | {"OAUTH_SCOPE": 'a"'}, "OAUTH_SCOPE"),
        ({"RATE_LIMIT": "often"}, "RATE_LIMIT"),
        ({"RATE_LIMIT": "0/minute"}, "RATE_LIMIT"),
        ({"RATE_LIMIT_STORAGE": "file:///secret"}, "RATE_LIMIT_STORAGE"),
        ({"RATE_LIMIT_STORAGE": "redis://:secret@"}, "RATE_LIMIT_STORAGE"),
        (
            {"RATE_LIMIT_STORAGE": "memory://"},
            "RATE_LIMIT_STORAGE would have no effect: CALLERS_HTTP_RATE_LIMIT is not set",
        ),
        ({"MAX_CALLS": "0"}, "MAX_CALLS"),
        ({"MAX_CALLS": "many"}, "MAX_CALLS"),
        ({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS"),
        ({"DRAIN_SECONDS": "nan"}, "DRAIN_SECONDS"),
        ({"DRAIN_SECONDS": "301"}, "DRAIN_SECONDS"),
        ({"METRICS": "9100"}, "METRICS"),
        ({"METRICS": "127.0.0.1:99999"}, "METRICS"),
        ({"METRICS": ":9100"}, "METRICS"),
        ({"TOKEN_FILE": "${FILE}"}, "TOKEN_FILE"),
        ({"AUDIT_FILE": "{{ file }}"}, "AUDIT_FILE"),
        ({"SERVER_CARD": "card"}, "SERVER_CARD has a value that can't be used"),
        (CARD, "SERVER_CARD"),
        (CARD | {"AUTH": "tokens"}, "SERVER_CARD"),
        (CARD | PUBLIC | {"AUTH": "none"}, "SERVER_CARD"),
        *(
            (CARD | {"AUTH": "tokens", "PUBLIC_URL": f"https://{host}/mcp"}, "SERVER_CARD")
            for host in (
                "192.0.2.1",
                "[2001:db8::1]",
                "localhost",
                "callers",
                "10.1",
                "a_b.example.com",
                "-a.example.com",
            )
        ),
        (CARD | {"AUTH": "tokens", "PUBLIC_URL": f"https://{LONG}example.com/mcp"}, "SERVER_CARD"),
        ({"PUBLIC_URL": "https://mcp.example.com/a%20b/mcp"}, "PUBLIC_URL"),
        ({"DRAIN_SECOND": "1"}, "did you mean CALLERS_HTTP_DRAIN_SECONDS?"),
        ({"AUTHENTICATION": "none"}, "CALLERS_HTTP_AUTHENTICATION is not a setting"),
        ({"WORKERS": "2"}, "CALLERS_HTTP_WORKERS is not a setting"),  # one process serves
    ],
    ids=str,
)
def test_a_wrong_setting_is_named_in_one_line_without_its_value(
    environment: dict[str, str], names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings(environment, monkeypatch)
    text = str(refusal.value)
    assert names in text
    assert "\n" not in text
    assert "secret" not in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mcp.example.com"])
@pytest.mark.parametrize(
    ("environment", "given", "names"),
    [
        ({}, {"tls": True}, "CALLERS_HTTP_AUTH"),
        ({"AUTH": "tokens"} | PUBLIC, {}, "CALLERS_HTTP_TRUSTED_PROXIES"),
        (OAUTH, {"tls": True}, "CALLERS_HTTP_PUBLIC_URL"),
    ],
)
def test_off_loopback_nothing_is_open_or_unencrypted_by_default(
    environment: dict[str, str], given: dict[str, object], names: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=names):
        settings(environment, monkeypatch, host=host, **given)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_on_every_address_needs_a_public_url(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="CALLERS_HTTP_PUBLIC_URL"):
        settings({"AUTH": "tokens"}, monkeypatch, host=host, tls=True)
    assert settings({"AUTH": "tokens"} | PUBLIC, monkeypatch, host=host, tls=True).url == PUBLIC["PUBLIC_URL"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_setting_is_needed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hosting = settings({"AUTH": " ", "PUBLIC_URL": "", "DRAIN_SECONDS": ""}, monkeypatch, host=host)
    assert hosting.auth is None
    assert hosting.drain_seconds == 5
