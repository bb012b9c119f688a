"""Which key verifies an access token: the issuer's only, for the algorithm that the issuer says."""

import hmac
import json
from collections.abc import Iterator
from functools import partial

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.http.auth.oauth import OAuthVerifier
from tests.support import fault_server as fault
from tests.support.oauth_cases import ABSENT, each
from tests.support.oauth_verifier import Clock, reason, verifier_of, warnings
from tests.support.oidc_provider import OidcProvider, Signer, compact, rsa_key


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """Return one issuer for all tests that don't change it."""
    with OidcProvider() as provider:
        yield provider


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"],
)
@pytest.mark.parametrize("named", [True, False])
async def test_a_token_with_any_of_the_algorithms_names_its_caller(algorithm: str, named: bool) -> None:
    signer = Signer(algorithm=algorithm, alg=algorithm if named else None)
    with OidcProvider(signer) as provider:
        verifier = verifier_of(provider.issuer)
        caller = await verifier.verify(provider.token(sub="auth0|alice"))
        assert caller == Principal(f"oauth:{provider.issuer}|auth0|alice", AllowedOrganizations(True, frozenset()))
        other = Signer(algorithm=algorithm, key=rsa_key(number=1) if algorithm[:2] in ("RS", "PS") else None)
        assert await reason(verifier, other.token(provider.claims())) == "signature"


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
@pytest.mark.parametrize("published", ["EdDSA", "its own", None])
async def test_eddsa_and_the_name_of_its_curve_are_one_algorithm(curve: str, published: str | None) -> None:
    signer = Signer(algorithm=curve, alg=curve if published == "its own" else published)
    with OidcProvider(signer) as provider:
        verifier, claims = verifier_of(provider.issuer), provider.claims()
        for algorithm in ("EdDSA", curve):
            await verifier.verify(signer.token(claims, alg=algorithm))
        other = "Ed448" if curve == "Ed25519" else "Ed25519"
        assert await reason(verifier, signer.token(claims, alg=other)) == "algorithm"


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
        verifier = verifier_of(provider.issuer)
        await verifier.verify(provider.signer.token(provider.claims(), **header))
        assert await reason(verifier, evil.token(provider.claims(), **header)) == "signature"
        assert "/evil" not in [request.target for request in provider.requests]


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
async def test_an_unexpected_header_is_refused(
    provider: OidcProvider, verifier: OAuthVerifier, name: str, value: object, expected: str
) -> None:
    header = {"b64": True, name: value}  # what crit may name is there
    assert await reason(verifier, provider.signer.token(provider.claims(), **header)) == expected


@pytest.mark.parametrize("signer", [Signer(), Signer(algorithm="RS256")], ids=["ES256", "RS256"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "none", "RS256", "ES256"])
async def test_the_public_key_is_not_accepted_as_a_secret_to_sign_with(signer: Signer, algorithm: str) -> None:
    written = (
        signer.public_key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        for encoding in (Encoding.PEM, Encoding.DER)
    )
    with OidcProvider(signer) as provider:
        verifier, header = verifier_of(provider.issuer), {"alg": algorithm, "kid": signer.key_id}
        for secret in (*written, json.dumps(signer.jwk).encode(), b""):
            for digest in ("sha256", "sha384", "sha512"):
                forged = compact(header, provider.claims(), partial(hmac.digest, secret, digest=digest))
                assert await reason(verifier, forged) in ("algorithm", "signature")
        assert await reason(verifier, compact(header, provider.claims())) in ("algorithm", "signature")


async def test_a_token_that_cannot_be_valid_causes_no_fetch() -> None:
    with OidcProvider() as provider:
        verifier, claims = verifier_of(provider.issuer), provider.claims()
        for algorithm in ("none", "HS256"):
            assert await reason(verifier, provider.signer.token(claims, alg=algorithm, kid=None)) == "algorithm"
        assert await reason(verifier, provider.signer.token(claims, typ="logout+jwt")) == "type"
        assert await reason(verifier, "callers_" + "x" * 40) == "malformed"
        assert provider.requests == []


async def test_a_key_is_used_only_for_what_its_issuer_says() -> None:
    rsa, pss = Signer("rsa", "RS256", alg="RS256"), Signer("rsa", "PS256")
    with OidcProvider(rsa, Signer("curve", "ES384")) as provider:
        verifier, claims = verifier_of(provider.issuer), provider.claims()
        await verifier.verify(rsa.token(claims))
        assert await reason(verifier, pss.token(claims)) == "algorithm"
        assert await reason(verifier, rsa.token(claims, kid="curve")) == "algorithm"
        assert await reason(verifier, pss.token(claims, kid=None)) == "unknown_key"


async def test_a_token_without_a_key_id_needs_the_only_key_that_fits() -> None:
    first, second, other = Signer("1"), Signer("2"), Signer("3", "EdDSA")
    with OidcProvider(first, other, Signer(None, "ES384")) as provider:
        claims = provider.claims()
        await verifier_of(provider.issuer).verify(first.token(claims, kid=None))
        assert await reason(verifier_of(provider.issuer), second.token(claims, kid=None)) == "signature"
        provider.publish(first, second, other)
        await verifier_of(provider.issuer).verify(other.token(claims, kid=None))
        assert await reason(verifier_of(provider.issuer), first.token(claims, kid=None)) == "unknown_key"


async def test_keys_with_the_same_id_are_all_tried() -> None:
    signers = [Signer("same"), Signer("same"), Signer("same", "RS256")]
    with OidcProvider(*signers) as provider:
        verifier = verifier_of(provider.issuer)
        for signer in signers:
            await verifier.verify(signer.token(provider.claims()))
            assert await reason(verifier, signer.token(provider.claims(exp=1))) == "expired"
        assert await reason(verifier, Signer("same").token(provider.claims())) == "signature"


async def test_of_very_many_keys_with_the_same_id_only_the_first_are_tried(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """A token that is not signed by any of them costs as little as another one."""
    signers = [Signer("same", "EdDSA") for _ in range(32)]
    with OidcProvider(Signer("other"), *signers, Signer("last"), *(Signer(None) for _ in range(32))) as provider:
        verifier = verifier_of(provider.issuer, clock)
        for signer in (provider.signer, *signers[:30]):
            await verifier.verify(signer.token(provider.claims()))
        for signer in signers[30:]:
            clock.now += 31  # the keys are fetched again
            assert await reason(verifier, signer.token(provider.claims())) == "signature"
        assert provider.fetches == 3
    assert warnings(caplog) == ["The OAuth issuer publishes more than 30 keys with the same id; 2 keys are not used."]
