"""Who an access token lets in: its issuer's word for this server, and nothing that only looks like it."""

import hmac
import json
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callers_mcp.access import UNRESTRICTED, AllowedOrganizations, Principal
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import HttpRejection, InsufficientScope, Unauthenticated
from tests.support import fault_server as fault
from tests.support.oidc_provider import AUDIENCE, CLAIM, SCOPE, OidcProvider, Signer, compact, rsa_key

HOUR = 3600
ABSENT = None
NOWHERE = AllowedOrganizations(main=False, sub_organizations=frozenset())


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """One for all that do not change it."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture
def verifier(provider: OidcProvider) -> OAuthVerifier:
    return verifier_of(provider)


def verifier_of(provider: OidcProvider) -> OAuthVerifier:
    return OAuthVerifier(provider.issuer, AUDIENCE, SCOPE, CLAIM)


async def reason(verifier: OAuthVerifier, token: str) -> str:
    """Return why a token is refused, having looked that the refusal tells nothing of it."""
    with pytest.raises(HttpRejection) as refused:
        await verifier.verify(token)
    refusal = refused.value
    assert isinstance(refusal, Unauthenticated | InsufficientScope)
    assert refusal.description.isascii()
    assert '"' not in refusal.description  # it stands in a header, in quotes
    told = "".join(traceback.format_exception(refusal)) + repr(refusal)
    assert not any(part in told for part in token.split(".") if len(part) > 8)
    assert "jwt.exceptions" not in told  # their texts quote the header
    return refusal.reason


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed448"],
)
@pytest.mark.parametrize("named", [True, False])
async def test_a_token_with_any_of_the_algorithms_tells_who_calls(algorithm: str, named: bool) -> None:
    signer = Signer(algorithm=algorithm, alg=("EdDSA" if algorithm == "Ed448" else algorithm) if named else None)
    with OidcProvider(signer) as provider:
        verifier = verifier_of(provider)
        caller = await verifier.verify(provider.token(sub="auth0|alice"))
        assert caller == Principal(f"oauth:{provider.issuer}|auth0|alice", AllowedOrganizations(True, frozenset()))
        other = Signer(algorithm=algorithm, key=rsa_key(number=1) if algorithm[:2] in ("RS", "PS") else None)
        assert await reason(verifier, other.token(provider.claims())) == "signature"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None])
async def test_what_issuers_call_an_access_token_is_accepted(
    provider: OidcProvider, verifier: OAuthVerifier, typ: str | None
) -> None:
    await verifier.verify(provider.signer.token(provider.claims(), typ=typ))


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t", "iss", "custom"])
async def test_no_key_comes_from_the_token_itself(name: str) -> None:
    evil = Signer()
    with OidcProvider() as provider:
        provider.pages["/evil"] = fault.answer({"keys": [evil.jwk]})
        url = provider.base_url + "/evil"
        header = {name: {"jku": url, "x5u": url, "iss": url, "x5c": [str(evil.jwk["x"])]}.get(name, evil.jwk)}
        verifier = verifier_of(provider)
        await verifier.verify(provider.signer.token(provider.claims(), **header))
        assert await reason(verifier, evil.token(provider.claims(), **header)) == "signature"
        assert "/evil" not in [request.target for request in provider.requests]


Cases = list[tuple[str, object, str]]


def each(name: str, *values: object, gives: str) -> Cases:
    """What each value of a claim, or of a member of the header, leads to."""
    return [(name, value, gives) for value in values]


HEADERS = [
    *each("alg", ABSENT, "none", "None", "nOnE", "", "HS256", "HS512", "es256", "ES256K", gives="algorithm"),
    *each("alg", "ES384", "RS256", "PS256", "EdDSA", ["ES256"], {"ES256": 1}, 5, True, gives="algorithm"),
    *each("kid", "", "KEY-1", "key-1 ", "key-1\0", "../../dev/null", "' OR 1=1 --", gives="unknown_key"),
    *each("kid", 1, ["key-1"], {"key-1": 1}, True, gives="malformed"),
    *each("crit", ["exp"], ["b64"], ["typ"], [], "exp", {}, 5, gives="malformed"),
    *each("b64", False, gives="malformed"),
    *each("typ", "logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "", 5, ["JWT"], {}, gives="type"),
]


@pytest.mark.parametrize(("name", "value", "expected"), HEADERS, ids=str)
async def test_a_header_that_is_not_ours_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, name: str, value: object, expected: str
) -> None:
    header = {"b64": True, name: value}  # what crit may name is there
    assert await reason(verifier, provider.signer.token(provider.claims(), **header)) == expected


@pytest.mark.parametrize("signer", [Signer(), Signer(algorithm="RS256")], ids=["ES256", "RS256"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none", "RS256", "ES256"])
async def test_the_public_key_is_no_secret_to_sign_with(signer: Signer, algorithm: str) -> None:
    written = (
        signer.public_key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        for encoding in (Encoding.PEM, Encoding.DER)
    )
    with OidcProvider(signer) as provider:
        verifier, header = verifier_of(provider), {"alg": algorithm, "kid": signer.key_id}
        for secret in (*written, json.dumps(signer.jwk).encode(), b""):
            for digest in ("sha256", "sha384", "sha512"):
                forged = compact(header, provider.claims(), partial(hmac.digest, secret, digest=digest))
                assert await reason(verifier, forged) in ("algorithm", "signature")
        assert await reason(verifier, compact(header, provider.claims())) in ("algorithm", "signature")


async def test_what_cannot_be_a_token_of_ours_costs_no_fetch() -> None:
    with OidcProvider() as provider:
        verifier, claims = verifier_of(provider), provider.claims()
        for algorithm in ("none", "HS256"):
            assert await reason(verifier, provider.signer.token(claims, alg=algorithm, kid=None)) == "algorithm"
        assert await reason(verifier, provider.signer.token(claims, typ="logout+jwt")) == "type"
        assert await reason(verifier, "callers_" + "x" * 40) == "malformed"
        assert provider.requests == []


async def test_a_key_is_used_for_what_its_issuer_says_alone() -> None:
    rsa, pss = Signer("rsa", "RS256", alg="RS256"), Signer("rsa", "PS256")
    with OidcProvider(rsa, Signer("curve", "ES384")) as provider:
        verifier, claims = verifier_of(provider), provider.claims()
        await verifier.verify(rsa.token(claims))
        assert await reason(verifier, pss.token(claims)) == "algorithm"
        assert await reason(verifier, rsa.token(claims, kid="curve")) == "algorithm"
        assert await reason(verifier, pss.token(claims, kid=None)) == "unknown_key"


async def test_a_token_without_a_key_id_needs_the_only_key_that_fits() -> None:
    first, second, other = Signer("1"), Signer("2"), Signer("3", "EdDSA")
    with OidcProvider(first, other, Signer(None, "ES384")) as provider:
        claims = provider.claims()
        await verifier_of(provider).verify(first.token(claims, kid=None))
        assert await reason(verifier_of(provider), second.token(claims, kid=None)) == "signature"
        provider.publish(first, second, other)
        await verifier_of(provider).verify(other.token(claims, kid=None))
        assert await reason(verifier_of(provider), first.token(claims, kid=None)) == "unknown_key"


async def test_keys_with_the_same_id_are_all_tried() -> None:
    signers = [Signer("same"), Signer("same"), Signer("same", "RS256")]
    with OidcProvider(*signers) as provider:
        verifier = verifier_of(provider)
        for signer in signers:
            await verifier.verify(signer.token(provider.claims()))
            assert await reason(verifier, signer.token(provider.claims(exp=1))) == "expired"
        assert await reason(verifier, Signer("same").token(provider.claims())) == "signature"


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
    if isinstance(value, bytes):  # as it stands, in the JSON
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


@pytest.mark.parametrize("scp", [SCOPE, f"openid {SCOPE}", [SCOPE], ["openid", SCOPE]])
@pytest.mark.parametrize("scope", [None, "openid", 5])
async def test_the_scope_may_stand_in_scp(
    provider: OidcProvider, verifier: OAuthVerifier, scope: object, scp: object
) -> None:
    await verifier.verify(provider.token(scope=scope, scp=scp))


async def test_a_token_without_the_scope_is_told_which_it_needs(
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
async def test_what_is_no_token_of_ours_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, change: Callable[[str], str]
) -> None:
    assert await reason(verifier, change(provider.token())) in ("malformed", "signature", "algorithm")


@pytest.mark.parametrize("claims", [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff", b"[" * 5000, b'{"exp": }'])
async def test_claims_that_are_no_object_are_refused(
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
