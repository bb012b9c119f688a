"""A token from a real OpenID provider, the npm package oidc-provider, lets its client in."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.http.auth.jwks import IssuerKeys
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import InsufficientScope, Unauthenticated
from tests.support.constants import NODE_MODULES, PATIENCE
from tests.support.oidc_provider import AUDIENCE, CLAIM, SCOPE

pytestmark = pytest.mark.parts

SCRIPT = Path(__file__).parents[1] / "node" / "oidc_provider.mjs"


@pytest.fixture(scope="module", params=["RS256", "PS256", "ES256", "EdDSA"])
def issuer(request: pytest.FixtureRequest) -> Iterator[str]:
    modules = Path(os.environ.get(NODE_MODULES, "nowhere"))
    if not (modules / "oidc-provider").is_dir():
        pytest.skip(f"the npm package oidc-provider is not in {NODE_MODULES}")
    node = shutil.which("node", path=modules / ".bin") or shutil.which("node")
    if node is None:
        pytest.skip("Node is not here")
    command = [node, str(SCRIPT), AUDIENCE, SCOPE, CLAIM, request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        assert process.stdout
        issuer = process.stdout.readline().strip()
        watch.cancel()
        assert issuer, "oidc-provider did not start; see its output above"
        yield issuer
        process.kill()


def token(issuer: str, **changes: str) -> str:
    """Have the provider issue a token for its client."""
    endpoint = httpx2.get(f"{issuer}/.well-known/openid-configuration").json()["token_endpoint"]
    form = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": f"{SCOPE} other", **changes}
    answer = httpx2.post(endpoint, data=form, auth=("agent", "the secret of a test"))
    assert answer.status_code == 200, answer.text
    issued: str = answer.json()["access_token"]
    return issued


async def test_a_token_of_a_real_provider_names_the_caller_and_what_they_may_see(issuer: str) -> None:
    verifier = OAuthVerifier(IssuerKeys(issuer), AUDIENCE, SCOPE, CLAIM)
    caller = await verifier.verify(token(issuer))
    assert caller == Principal(
        f"oauth:{issuer}|agent", AllowedOrganizations(main=True, sub_organizations=frozenset({"berlin"}))
    )


async def test_a_token_that_a_real_provider_issued_for_something_else_is_refused(issuer: str) -> None:
    verifier = OAuthVerifier(IssuerKeys(issuer), AUDIENCE, SCOPE, CLAIM)
    with pytest.raises(Unauthenticated) as refused:
        await verifier.verify(token(issuer, resource="https://other.example/mcp"))
    assert refused.value.reason == "audience"
    with pytest.raises(InsufficientScope):
        await verifier.verify(token(issuer, scope="other"))
