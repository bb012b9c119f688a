"""Which access tokens are accepted: those of the issuer, for this server, with the scope, and in time."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callers_mcp.access import UNRESTRICTED, AllowedOrganizations
from callers_mcp.http.auth.jwks import IssuerKeys
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import InsufficientScope, Unauthenticated
from tests.support.oauth_cases import ABSENT, each
from tests.support.oauth_verifier import outcome, reason
from tests.support.oidc_provider import AUDIENCE, CLAIM, SCOPE, OidcProvider, Signer, compact

HOUR = 3600
NOWHERE = AllowedOrganizations(main=False, sub_organizations=frozenset())


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """Return one issuer for all tests that don't change it."""
    with OidcProvider() as provider:
        yield provider


def near(seconds: float, write: Callable[[float], object] = float) -> Callable[[], object]:
    """A time that is that far from the moment of the test."""
    return lambda: write(int(time.time() + seconds))


NO_TIMES: tuple[object, ...] = (
    b"NaN",
    b"Infinity",
    b"1e400",
    b"-1e400",
    b"9" * 5000,
    b"[" * 3000,
    "",
    "soon",
    True,
    [],
    {},
    [1],
)
REFUSED = [
    *each("iss", ABSENT, gives="claims"),
    *each("iss", "{}/", "{}/.", "https://other.example", "", ["{}"], gives="issuer"),
    *each("aud", ABSENT, "", [], gives="claims"),
    *each("aud", f"{AUDIENCE}/", AUDIENCE[:-1], AUDIENCE.upper(), f"{AUDIENCE} other", gives="audience"),
    *each("aud", ["my-client-id"], [f"x{AUDIENCE}", "y"], [AUDIENCE, 5], [[AUDIENCE]], gives="audience"),
    *each("aud", {AUDIENCE: True}, 5, True, gives="audience"),
    *each("exp", ABSENT, b"null", gives="claims"),
    *each("exp", near(-31), 0, -(10**30), gives="expired"),
    *each("exp", near(HOUR, str), *NO_TIMES, gives="malformed|expired"),
    *each("nbf", near(HOUR), near(90), 10**30, gives="not_yet"),
    *each("nbf", near(-HOUR, str), b"null", *NO_TIMES, gives="malformed"),
    *each("iat", near(HOUR), near(90), 10**30, gives="not_yet"),
    *each("iat", near(-HOUR, str), b"null", *NO_TIMES, gives="malformed"),
    *each("sub", ABSENT, b"null", gives="claims"),
    *each("sub", "", "x" * 256, "a\nb", "a\0", "a\x7f", "a\x85", "\u202e", "\u2028", "\ud800", gives="subject"),
    *each("sub", 5, ["alice"], {}, True, gives="malformed"),
    *each("jti", 5, gives="malformed"),
    *each("scope", ABSENT, "", "campaigns", "campaigns:readonly", "xcampaigns:read", gives="scope"),
    *each("scope", "Campaigns:Read", "campaigns:read,x", "openid\tcampaigns:read", gives="scope"),
    *each("scope", ["campaigns:readonly"], ["openid campaigns:read"], [SCOPE, 5], [[SCOPE]], gives="scope"),
    *each("scope", {SCOPE: True}, 5, True, gives="scope"),
]


@pytest.mark.parametrize(("name", "value", "expected"), REFUSED, ids=lambda value: f"{value!r:.30}")
async def test_a_token_that_is_not_for_here_and_now_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, name: str, value: object, expected: str
) -> None:
    if callable(value):
        value = value()
    elif isinstance(value, str | list):
        value = json.loads(json.dumps(value).replace("{}", provider.issuer))
    claims: object = provider.claims(**{name: value if not isinstance(value, bytes) else 1})
    if isinstance(value, bytes):  # written into the JSON unchanged
        members = provider.claims(**{name: None})
        claims = json.dumps(members)[:-1].encode() + f', "{name}": '.encode() + value + b"}"
    assert await reason(verifier, provider.signer.token(claims)) in expected.split("|")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", [AUDIENCE]),
        ("aud", ["https://other.example", AUDIENCE]),
        ("exp", near(-15)),
        ("exp", near(60, lambda seconds: seconds + 0.5)),
        ("exp", 10**30),
        ("nbf", near(25)),
        ("nbf", 0),
        ("iat", near(25)),
        ("iat", ABSENT),
        ("sub", "x" * 255),
        ("sub", 'Zoë | a \\ "b"'),
        ("scope", f"openid {SCOPE} profile"),
        ("scope", [SCOPE, "openid"]),
        ("unknown", [1e308, None, {"a": "\ud800"}]),
    ],
    ids=lambda value: f"{value!r:.30}",
)
async def test_a_token_that_is_for_here_and_now_is_accepted(
    provider: OidcProvider, verifier: OAuthVerifier, name: str, value: object
) -> None:
    await verifier.verify(provider.token(**{name: value() if callable(value) else value}))


@pytest.mark.parametrize("configured", ["https://mcp.example.com", "https://mcp.example.com/", "https://a.example/mcp"])
@pytest.mark.parametrize("ending", ["", "/", "//", "/mcp"])
async def test_only_the_slash_after_a_host_makes_no_other_audience(
    provider: OidcProvider, configured: str, ending: str
) -> None:
    verifier = OAuthVerifier(IssuerKeys(provider.issuer), configured, SCOPE, CLAIM)
    audience = configured.removesuffix("/") + ending
    same = audience == configured or (ending in ("", "/") and not configured.endswith("/mcp"))
    assert (await outcome(verifier, provider.token(aud=audience))) == (
        f"oauth:{provider.issuer}|alice" if same else "audience"
    )


@pytest.mark.parametrize("name", ["aud", "scope", CLAIM, "unknown"])
async def test_a_claim_that_is_there_twice_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, name: str
) -> None:
    claims = json.dumps(provider.claims(unknown=1))[:-1]
    twice = f'{claims}, "{name}": {json.dumps(provider.claims(unknown=1)[name])}}}'
    assert await reason(verifier, provider.signer.token(twice.encode())) == "malformed"
    header = b'{"alg": "ES256", "kid": "key-1", "alg": "ES256"}'
    assert await reason(verifier, compact(header, provider.claims())) == "malformed"


@pytest.mark.parametrize("scp", [SCOPE, f"openid {SCOPE}", [SCOPE], ["openid", SCOPE]])
@pytest.mark.parametrize("scope", [None, "openid", 5])
async def test_the_scope_may_be_in_scp(
    provider: OidcProvider, verifier: OAuthVerifier, scope: object, scp: object
) -> None:
    await verifier.verify(provider.token(scope=scope, scp=scp))


async def test_the_refusal_of_a_token_without_the_scope_names_it(
    provider: OidcProvider, verifier: OAuthVerifier
) -> None:
    with pytest.raises(InsufficientScope, match="campaigns:read"):
        await verifier.verify(provider.token(scope="openid"))
    # Only to a token that is valid otherwise.
    assert await reason(verifier, provider.token(scope="openid", exp=1)) == "expired"
    assert await reason(verifier, Signer().token(provider.claims(scope="openid"))) == "signature"


@pytest.mark.parametrize(
    ("claim", "scope"),
    [
        (["main"], AllowedOrganizations(True, frozenset())),
        ("main", AllowedOrganizations(True, frozenset())),
        (["berlin", "paris"], AllowedOrganizations(False, frozenset({"berlin", "paris"}))),
        ("berlin paris main", AllowedOrganizations(True, frozenset({"berlin", "paris"}))),
        ("berlin,paris, main", AllowedOrganizations(True, frozenset({"berlin", "paris"}))),
        (["*"], UNRESTRICTED),
        ("berlin *", UNRESTRICTED),
        *((claim, NOWHERE) for claim in (None, "", [], {}, {"main": True}, 5, True, 1.5, [["main"]], ["main", 5])),
        *((claim, NOWHERE) for claim in (["main berlin"], [" *"], "a\tb")),
    ],
    ids=lambda value: (
        "" if isinstance(value, AllowedOrganizations) else str(value)
    ),  # sets have no order, and ids need one
)
async def test_the_organizations_claim_says_what_may_be_seen(
    provider: OidcProvider, verifier: OAuthVerifier, claim: object, scope: AllowedOrganizations
) -> None:
    assert (await verifier.verify(provider.token(**{CLAIM: claim}))).organizations == scope


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: ".",
        lambda token: "..",
        lambda token: "a.b.c",
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token + ".x",
        lambda token: "." + token,
        lambda token: token.partition(".")[2],
        lambda token: " " + token,
        lambda token: token + "\n",
        lambda token: token[:-1] + "é",
        lambda token: token[:-1] + "\ud800",
        lambda token: token.replace(".", ".."),
        lambda token: token[:-4],
        lambda token: token.split(".")[0] + "." + compact({}, {"sub": "eve"}).split(".")[1] + "." + token.split(".")[2],
        lambda _: compact(b"[" * 5000, b"{}"),
        lambda _: compact(b"9" * 5000, b"{}"),
        lambda _: compact([], {}),
        lambda _: compact(b"\xff", b"{}"),
        lambda _: compact({"alg": "ES256", "kid": "key-1"}, b"{}"),
        lambda _: compact({"alg": "ES256", "kid": "key-1"}, b"[" * 5000, lambda _: b"x" * 64),
    ],
)
async def test_a_malformed_token_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, change: Callable[[str], str]
) -> None:
    assert await reason(verifier, change(provider.token())) in ("malformed", "signature", "algorithm")


@pytest.mark.parametrize("claims", [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff", b"[" * 5000, b'{"exp": }'])
async def test_claims_that_are_not_an_object_are_refused(
    provider: OidcProvider, verifier: OAuthVerifier, claims: bytes
) -> None:
    assert await reason(verifier, provider.signer.token(claims)) == "malformed"


async def test_a_token_of_16_kib_is_read_and_a_longer_one_is_not(
    provider: OidcProvider, verifier: OAuthVerifier
) -> None:
    room = 16_384 - len(provider.token(x=""))
    tokens = [provider.token(x="x" * length) for length in range(room * 3 // 4 - 8, room * 3 // 4 + 8)]
    longest = max((token for token in tokens if len(token) <= 16_384), key=len)
    assert len(longest) > 16_380
    await verifier.verify(longest)
    assert await reason(verifier, next(token for token in tokens if len(token) > 16_384)) == "too_long"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from([AUDIENCE, SCOPE, "main", "*", "ES256", "key-1", "b64"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
claim_names = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "scope", "scp", CLAIM])
header_names = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"])


@settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    claims=st.dictionaries(claim_names, values, max_size=3), header=st.dictionaries(header_names, values, max_size=2)
)
async def test_whatever_an_issuer_signs_is_a_caller_or_a_refusal(
    provider: OidcProvider, verifier: OAuthVerifier, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    try:
        caller = await verifier.verify(provider.signer.token(provider.claims(**claims), **header))
    except (Unauthenticated, InsufficientScope):
        return
    assert caller.name.startswith(f"oauth:{provider.issuer}|")
    assert caller.name.isprintable()
    caller.name.encode()
