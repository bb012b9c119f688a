"""The id of a request: on the wire, in errors, for the observer, and for the model of a hosted server."""

import re

import pytest
from mcp import Client

from callers_mcp import CallersClient, create_server
from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.api.errors import (
    CallersError,
    Unavailable,
)
from tests.support import fault_server as fault
from tests.support.concurrency import Notes, ids_sent
from tests.support.constants import ID, A
from tests.support.fault_server import FaultServer
from tests.support.lookups import call, failure, told
from tests.support.stand_in_api import KNOWN, api_client, settings_for


@pytest.mark.parametrize("attempts", [1, 2])
async def test_every_attempt_has_the_request_id_of_the_error_and_of_the_observer(attempts: int) -> None:
    notes = Notes()
    with FaultServer(fault.error(503, headers=[fault.AT_ONCE])) as server:
        async with api_client(server, notes, max_attempts=attempts) as client:
            errors = []
            for _ in range(2):
                with pytest.raises(Unavailable) as refused:
                    await client.get_campaign(ID)
                errors.append(refused.value)
        sent = ids_sent(server)
    assert sent == [error.request_id for error in errors for _ in range(attempts)]
    assert len(set(sent)) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in sent)
    assert [look_up.request_id for look_up in notes.look_ups] == [error.request_id for error in errors]
    assert [look_up.attempts for look_up in notes.look_ups] == [error.attempts for error in errors] == [attempts] * 2


async def test_a_look_up_that_is_refused_before_any_request_has_an_id_too() -> None:
    notes = Notes()
    with FaultServer(KNOWN) as server:
        async with api_client(server, notes) as client:
            with pytest.raises(CallersError) as refused:
                await client.on_behalf_of(Principal("token:a", AllowedOrganizations.parse([A]))).get_campaign(
                    ID, sub_organization_id="x"
                )
    (look_up,) = notes.look_ups
    assert (look_up.principal, look_up.organization, look_up.outcome) == ("token:a", "x", "forbidden")
    assert (look_up.attempts, look_up.shared, look_up.request_id) == (0, False, refused.value.request_id)
    assert look_up.request_id
    assert notes.begun == 1


async def test_only_a_hosted_server_gives_the_model_the_request_id() -> None:
    with FaultServer(fault.error(404)) as server:
        settings, caller = settings_for(server), Principal("token:a", AllowedOrganizations.parse(["*"]))
        hosted = create_server(settings, client=CallersClient(settings), get_principal=lambda ctx: caller)
        async with Client(hosted) as client:
            for_many = await call(client)
        async with Client(create_server(settings)) as client:
            for_one = await call(client)
        first, second = ids_sent(server)
    assert told(for_many).endswith(f" Request id: {first}.")
    assert failure(for_many)["request_id"] == first
    assert second not in for_one.model_dump_json()
