"""Arguments of prompts as hosts send them: a name in several arguments, placeholders, text beside an id."""

import json
import re
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from callers_mcp.access import Principal
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY, A, B
from tests.support.fault_server import FaultServer
from tests.support.hostile_names import HOSTILE
from tests.support.key_leaks import secret_parts
from tests.support.mcp_features import before, connect, embedded, kind, meant, numbered, refused, review, text_of
from tests.support.principals import places_asked, someone
from tests.support.stand_in_api import holding

URI = f"callers://campaigns/{ID}"
OTHERS = [campaign(id=numbered(1), name="Autumn survey"), campaign(id=numbered(2), name="Autumn calls north")]
MAIN = [campaign(), *OTHERS]  # "Spring renewals"


@pytest.mark.parametrize("caller", [None, someone("*"), someone("main")], ids=["operator", "everywhere", "main"])
async def test_a_name_in_two_arguments_is_read_as_one_and_the_first_line_says_so(caller: Principal | None) -> None:
    """Claude Code gives each word to the next argument; quotation marks stay in the words."""
    with FaultServer(holding(*MAIN, **{A: [campaign()]})) as server:
        async with connect(server, caller=caller) as client:
            for first, second, read_as in (
                ("Spring", "renewals", "Spring renewals"),
                ('"Spring', 'renewals"', "Spring renewals"),
                ("\u201cSpring", "renewals", "Spring renewals"),
                ("'Spring", "renewals'", "Spring renewals"),
                ("SPRING", "Renewals", "SPRING Renewals"),
                ("Spring", "renwals", "Spring renwals"),
            ):
                result = await review(client, first, sub_organization_id=second)
                assert [shown.uri for shown in embedded(result)] == [URI]
                note = f'Read as the name "{read_as}"; a sub-organization is given by its id.'
                found = ' The campaign found is "Spring renewals".' if read_as == "Spring renwals" else ""
                assert text_of(result).splitlines()[0] == note + found
        assert set(map(tuple, places_asked(server))) == {()}


@pytest.mark.parametrize("given", [f'"{ID}"', f"'{ID}'", f"\u201c{ID} \u201d", f"`Spring renewals ({ID})`"])
async def test_quotation_marks_around_an_argument_are_no_part_of_it(given: str) -> None:
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server, organization_id=None) as client:
            assert await meant(client, given) == [URI]


async def test_a_name_found_by_part_is_shown_in_full_and_of_several_each_is_a_choice() -> None:
    with FaultServer(holding(*MAIN, campaign(id=numbered(3), name="Autumn survey of Bonn"))) as server:
        async with connect(server) as client:
            part = await review(client, "Autumn", sub_organization_id="calls")
            several = await review(client, "Autumn", sub_organization_id="surv")
            beginning = await review(client, "Autumn", sub_organization_id="survey")
            none = await review(client, "Winter", sub_organization_id="tales")
    assert text_of(part).splitlines()[0] == (
        'Read as the name "Autumn calls"; a sub-organization is given by its id. '
        'The campaign found is "Autumn calls north".'
    )
    assert embedded(several) == []
    note, question, *choices = before(several).splitlines()[:4]
    assert note == 'Read as the name "Autumn surv"; a sub-organization is given by its id.'
    assert question.startswith('2 campaigns fit the name "Autumn surv". Ask me which')
    assert {line.split("(")[1][:24] for line in choices} == {numbered(1), numbered(3)}
    assert [shown.uri for shown in embedded(beginning)] == [f"callers://campaigns/{numbered(1)}"]
    assert text_of(beginning).splitlines()[0].endswith("by its id. Other names begin with it, too.")
    assert text_of(none).splitlines()[1].startswith('No campaign fits the name "Winter tales".')


async def test_a_hostile_word_is_refused_or_quoted() -> None:
    read = 0
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server) as client:
            for text in HOSTILE:
                try:
                    result = await review(client, "Spring", sub_organization_id=text)
                except MCPError as error:
                    assert re.search("is not valid|is too long", error.error.message)
                else:
                    read += 1
                    assert re.fullmatch(r'Read as the name "([^"\\]|\\.)*"; a .*', text_of(result).splitlines()[0])
    assert 0 < read < len(HOSTILE)


async def test_a_sub_organization_of_the_caller_is_never_a_part_of_a_name() -> None:
    """Only for a caller who may see it: for any other, such a word says nothing about other callers."""
    inside = {"acme": [campaign(id=numbered(5), organizationId="acme")]}
    acme = "callers://sub-organizations/acme/campaigns/" + numbered(5)
    default: dict[str, Any] = {"sub_organization_id": "acme"}
    with FaultServer(holding(*MAIN, **inside)) as server:
        for caller, settings, expected in (
            (None, {"sub_organizations": "main,acme"}, [acme]),
            (None, default, [acme]),
            (someone("*"), default, [acme]),
            (someone("main", "acme"), {}, [acme]),
            (someone("*"), {"sub_organizations": "main,acme"}, [acme]),
            (someone("main"), {"sub_organizations": "main,acme"}, []),
            (someone("main"), default, []),
            (someone("main"), {}, []),
            (None, {}, []),
        ):
            async with connect(server, caller=caller, **settings) as client:
                result = await review(client, "Spring", sub_organization_id="acme")
            assert [shown.uri for shown in embedded(result)] == expected, (caller, settings)
            assert text_of(result).startswith('Read as the name "Spring acme"') == (not expected)


@pytest.mark.parametrize("place", [B, "main"])
async def test_a_sub_organization_that_the_caller_may_not_see_is_still_refused(place: str) -> None:
    with FaultServer(holding(*MAIN, **{A: MAIN, B: MAIN})) as server:
        async with connect(server, caller=someone(A)) as client:
            for text in ("Spring", ID, "$1"):
                error = await refused(review(client, text, sub_organization_id=place))
                assert kind(error) == "forbidden"
        assert server.connections == 0
        async with connect(server, caller=someone(A)) as client:
            await review(client, "Spring", sub_organization_id="renewals")
        async with connect(server, caller=someone()) as client:
            assert kind(await refused(review(client, "Spring", sub_organization_id="renewals"))) == "forbidden"
        assert set(map(tuple, places_asked(server))) == {(A,)}


REFUSED = [ID[:23], ID + "0", "05", "acme-2", "a\u0000b", "a\u202eb", "a\u2028b", "x" * 81, f"north {ID}"]


@pytest.mark.parametrize("caller", [None, someone("*"), someone(A)], ids=["operator", "everywhere", "sub-organization"])
async def test_anything_else_in_place_of_a_sub_organization_is_refused(caller: Principal | None) -> None:
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server, caller=caller) as client:
            both = {"first": ID, "second": numbered(1)}
            tries = [review(client, text, sub_organization_id=place) for text in ("Spring", ID) for place in REFUSED]
            tries += [review(client, text, sub_organization_id="north of") for text in (ID, f"{ID} Spring")]
            tries += [client.get_prompt("compare_campaigns", both | {"sub_organization_id": "north"})]
            for attempt in tries:
                error = await refused(attempt)
                assert (error.code, kind(error)) == (-32602, "invalid_arguments")
                assert error.message.startswith("sub_organization_id ")
                assert len(error.message) < 300
        assert server.connections == 0


async def test_what_a_host_leaves_of_a_completion_is_that_campaign_and_other_text_beside_an_id_is_refused() -> None:
    named = campaign(id=numbered(4), name="Sample: Spring renewals")
    with FaultServer(holding(named, **{A: [named]})) as server:
        async with connect(server) as client:
            campaign_id, word, *_ = f"{numbered(4)} Sample: Spring renewals".split()
            assert await meant(client, campaign_id, sub_organization_id=word) == [f"callers://campaigns/{numbered(4)}"]
            for other in ("Spring", "sample", "Sampl", "renewals"):
                error = await refused(review(client, campaign_id, sub_organization_id=other))
                assert (kind(error), error.message[:22]) == ("invalid_arguments", 'sub_organization_id "' + other[0])
        assert set(map(tuple, places_asked(server))) == {()}


async def test_words_that_do_not_say_which_two_campaigns_are_meant_are_answered_with_how_to_give_two_ids() -> None:
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server) as client:
            for first, second in (("Spring", "renewals"), (ID, "Spring"), (KEY, 'x"\n- y')):
                words = {"first": first, "second": second, "sub_organization_id": "Autumn"}
                result = await client.get_prompt("compare_campaigns", words)
                question = text_of(result).splitlines()[0]
                assert question.startswith('The words "')
                assert re.search(r'"Autumn" do not say .* compare_campaigns( [0-9a-f]{24}){2}\.$', question)
                assert not secret_parts(text_of(result))
        assert server.connections == 0


PLACEHOLDERS = ["$1", "$9", "$ARGUMENTS", "$campaign", "${1}", "${input:campaign}", "{{name}}", "{{ campaign }}"]


async def test_an_argument_that_the_host_fills_in_later_gives_a_prompt_that_works_then() -> None:
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server) as client, connect(server, organization_id=None) as without_lists:
            for text in PLACEHOLDERS:
                one = text_of(await review(client, text))
                assert one.startswith(f"First find `{text}` with find_campaigns, then call get_campaign with the id.")
                assert "\n\nThen: Review this calling campaign" in one
                place = text_of(await review(client, "Spring", sub_organization_id=text))
                assert place.startswith('First find "Spring" with find_campaigns')
                assert f"sub_organization_id is `{text}`. Leave it out if that is empty" in place
                within = text_of(await review(client, text, sub_organization_id=A))
                assert f"sub_organization_id is {A}." in within
                two = await client.get_prompt("compare_campaigns", {"first": text, "second": 'x"\n- y'})
                assert text_of(two).startswith(f'First find `{text}` and "x\\" - y" with find_campaigns')
                by_id = text_of(await review(without_lists, text))
                assert by_id.startswith(f"First call get_campaign with `{text}`.")
                error = await refused(review(client, text, sub_organization_id="acme"))
                assert kind(error) == "invalid_arguments"
        assert server.connections == 0


async def test_opencode_fills_in_what_was_typed() -> None:
    """It requests a prompt with ``$1``, ``$2``, ..., and puts the words there; the last one gets all that are left."""
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server) as client:
            template = text_of(await review(client, "$1", sub_organization_id="$2"))
    for typed, campaign_text, place in (
        (["Spring renewals"], "`Spring renewals`", "``"),
        (["Spring", A], "`Spring`", f"`{A}`"),
        (["Spring", "renewals", "north"], "`Spring`", "`renewals north`"),
    ):
        words = [*typed[:1], " ".join(typed[1:])]
        filled = re.sub(r"\$(\d+)", lambda found: words[int(found[1]) - 1], template)  # noqa: B023
        assert filled.startswith(f"First find {campaign_text} with find_campaigns")
        assert f"sub_organization_id is {place}. Leave it out if that is empty; if it is words, they belong" in filled
    assert "!`" not in template, "opencode runs that as a command"


async def test_a_name_that_only_looks_like_a_placeholder_is_a_name() -> None:
    with FaultServer(holding(*MAIN)) as server:
        async with connect(server) as client:
            for text in ("$100", "$", "Spring $1", "{{}}", "$1`", "${a}${b}", "{{a\nb}}", "$" + "x" * 41):
                assert text_of(await review(client, text)).startswith(("No campaign fits", "Review this"))


async def test_the_raw_json_is_in_a_fence_that_nothing_in_it_closes() -> None:
    with FaultServer() as server:
        async with connect(server) as client:
            for longest in (0, 1, 2, 3, 4, 7, 50):
                odd = campaign(name=f"a {'`' * longest} b", note=f"`` {'`' * longest}json\n")
                server.script(fault.answer(odd))
                lines = text_of(await review(client, ID)).splitlines()
                assert lines[lines.index(URI) - 1] == "Its resource:"
                opening, raw, closing = lines[-3:]
                assert opening == f"{closing}json"
                assert set(closing) == {"`"}
                assert len(closing) > max(2, longest)
                assert json.loads(raw) == odd
