"""An edit of a host's configuration changes one entry: all other values, comments and their order stay."""

import json
import tomllib
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callers_mcp.install.documents import Format, UnreadableConfig, get_entry, set_entry
from tests.support.install_home import squeezed

PATH = ("mcpServers", "callers")
VALUE = {"command": "/opt/callers-mcp", "args": ["--sandbox"], "env": {"A": 'x "y" \\ ü'}}

JSON_DOCUMENTS = {
    "empty": "",
    "an empty object": "{}",
    "an empty object and a line end": "{}\n",
    "no container": '{\n  "a": 1\n}\n',
    "a trailing comma": '{\n  "a": 1,\n}\n',
    "an empty container": '{\n  "mcpServers": {}\n}',
    "on one line": '{"a": [1, {"b": 2}], "mcpServers": {"x": {"command": "y"}}}',
    "on one line with spaces": '{ "mcpServers": { "x": {} } }',
    "tabs": '{\n\t"mcpServers": {\n\t\t"x": {}\n\t}\n}\n',
    "four spaces": '{\n    "mcpServers": {\n        "x": {}\n    },\n    "z": null\n}\n',
    "line ends of Windows": '{\r\n  "mcpServers": {\r\n    "x": {}\r\n  }\r\n}\r\n',
    "a byte order mark": '\ufeff{\n  "mcpServers": {}\n}\n',
    "comments": '// a\n{ // b\n  /* c */ "mcpServers": { // d\n    "x": {}, // e\n    // f\n  } // g\n} // h\n',
    "a comment in an empty container": '{\n  "mcpServers": {\n    // none yet\n  }\n}\n',
    "a comma after the last": '{\n  "mcpServers": {\n    "x": {}, // last\n  },\n}\n',
    "a path of Windows": '{"mcpServers": {"x": {"command": "C:\\\\xampp\\\\x.exe"}}}',
    "braces and slashes in strings": '{"a": "} // \\" /* {", "mcpServers": {"x": {"command": "//"}}}',
    "every kind of value": '{"a": [0, -1, 1.5, 1E+9, 2e-3, true, false, null, "\\u0041\\n\\/", [], {},]}\n',
    "a comment at each place": '/**/{/* } */"a"/**/:/**/[/**/1/**/,/**/]/**/,/**/}/* // */',
    "a comment without a line end": "{} // a",
    "nothing but a comment": "// none yet",
    "an emoji": '{"\U0001f4de": "\u202e", "mcpServers": {}}',
}
TOML_DOCUMENTS = {
    "empty": "",
    "a table": 'model = "x"\n\n[mcpServers.x]\ncommand = "y"\n',
    "no line end": 'model = "x"',
    "a comment at its end": "[tui]\na = 1\n# the end\n",
    "line ends of Windows": '[mcpServers.x]\r\ncommand = "y"\r\n',
    "an array of tables": "[[profiles]]\na = 1\n\n[[profiles]]\na = 2\n",
    "a table with only a header": "[mcpServers]\n\n[other]\nb = 2\n",
    "strings over lines": "a = \"\"\"\n[mcpServers.x]\n\"\"\"\nb = '''\n# no comment\n'''\n",
    "what is not a number": "a = nan\n",
    "dotted keys": 'mcpServers.x.command = "y"\n',
}
DOCUMENTS = [
    *(pytest.param("json", text, id=f"json: {name}") for name, text in JSON_DOCUMENTS.items()),
    *(pytest.param("toml", text, id=f"toml: {name}") for name, text in TOML_DOCUMENTS.items()),
]


@pytest.mark.parametrize(("format", "text"), DOCUMENTS)
def test_removing_an_added_entry_keeps_all_else(format: Format, text: str) -> None:  # noqa: A002
    assert get_entry(text, format, PATH) is None
    added = set_entry(text, format, PATH, VALUE)
    assert get_entry(added, format, PATH) == VALUE
    assert set_entry(added, format, PATH, VALUE) == added
    removed = set_entry(added, format, PATH, None)
    assert get_entry(removed, format, PATH) is None
    assert squeezed(removed) == squeezed(text)
    assert set_entry(removed, format, PATH, VALUE) == added
    assert set_entry(text, format, PATH, None) == text


@pytest.mark.parametrize(("format", "text"), DOCUMENTS)
def test_a_replaced_entry_keeps_its_place(format: Format, text: str) -> None:  # noqa: A002
    other = {"command": "other"}
    added = set_entry(text, format, PATH, VALUE)
    replaced = set_entry(added, format, PATH, other)
    assert get_entry(replaced, format, PATH) == other
    assert set_entry(replaced, format, PATH, None) == set_entry(added, format, PATH, None)


@pytest.mark.parametrize("value", [VALUE, None], ids=["set", "removed"])
@pytest.mark.parametrize(
    ("text", "has_entry"),
    [
        ('mcpServers = { x = { command = "y" } }\n', False),
        ("mcpServers = {}\n", False),
        ('mcpServers = { callers = { command = "y" } }\n', True),
        ('[mcpServers]\ncallers = { command = "y" }\n', True),
        ('[mcpServers]\ncallers.command = "y"\n', True),
        ('mcpServers.callers.command = "y"\n', True),
        ("[mcpServers.callers]\na = 1\n[other]\nb = 2\n[mcpServers.callers.env]\nC = '3'\n", True),
        ("[mcpServers.callers]\na = [\n[1]\n]\n", True),
        ('a = """\n[mcpServers.callers]\n"""\n[mcpServers.callers]\nb = 2\n', True),
    ],
)
def test_a_rare_form_of_an_entry_in_toml_is_refused(text: str, has_entry: bool, value: dict[str, Any] | None) -> None:
    if value is None and not has_entry:
        assert set_entry(text, "toml", PATH, None) == text
        return
    with pytest.raises(UnreadableConfig, match="can't be edited safely"):
        set_entry(text, "toml", PATH, value)


def test_comments_and_blank_lines_around_a_table_stay() -> None:
    text = '# a\n[x]\nb = 1 # b\n\n# c\n\n[mcpServers.callers]\ncommand = "y"\n[mcpServers.callers.env]\nA = "1"\n'
    after = "# d\n\n# e\n[z]\n"
    assert set_entry(text + after, "toml", PATH, None) == "# a\n[x]\nb = 1 # b\n\n# c\n" + after
    other = {"command": "z"}
    assert set_entry(text + after, "toml", PATH, other) == (
        '# a\n[x]\nb = 1 # b\n\n# c\n\n[mcpServers.callers]\ncommand = "z"\n' + after
    )


@pytest.mark.parametrize("text", JSON_DOCUMENTS.values(), ids=JSON_DOCUMENTS.keys())
def test_an_entry_is_indented_like_the_rest_of_the_file(text: str) -> None:
    added = set_entry(text, "json", PATH, VALUE)
    if "\t" in text:
        assert '\n\t\t"callers": {\n\t\t\t"command"' in added
    if "\r\n" in text:
        assert added.count("\r\n") == added.count("\n")
    if '"x"' in text and "\n" not in text.rstrip():
        assert "\n" not in added.rstrip()


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("json", "{"),
        ("json", "{]"),
        ("json", '{"a" 1}'),
        ("json", '{"a": 1 "b": 2}'),
        ("json", '{"a": 01}'),
        ("json", '{"a": +1}'),
        ("json", '{"a": .5}'),
        ("json", '{"a": 1.}'),
        ("json", '{"a": 1 e2}'),
        ("json", '{"a": 0x1F}'),
        ("json", '{"a": NaN}'),
        ("json", '{"a": Infinity}'),
        ("json", "{a: 1}"),
        ("json", "{'a': 1}"),
        ("json", '{"a": "\\x41"}'),
        ("json", '{"a": "b\\\nc"}'),
        ("json", '{"a": "b\nc"}'),
        ("json", '{"a": "b'),
        ("json", '{"a":\u00a01}'),
        ("json", "{,}"),
        ("json", "[,]"),
        ("json", '{"a": [1,,]}'),
        ("json", '{"a": }'),
        ("json", "{} /* a"),
        ("json", "{} // a\rb"),
        ("json", "{} // a\u2028b"),
        ("json", '{"mcpServers": {"callers": {"a": ' + "1" * 5000 + "}}}"),
        ("json", "{} {}"),
        ("json", "[]"),
        ("json", '"text"'),
        ("json", '{"mcpServers": []}'),
        ("json", '{"mcpServers": null}'),
        ("json", '{"mcpServers": {"callers": 1}}'),
        ("json", '{"mcpServers": {"callers": {}, "callers": {}}}'),
        ("json", '{"mcpServers": {}, "mcpServers": {}}'),
        ("json", "[" * 5000),
        ("json", '{"a":' * 5000),
        ("toml", "a = "),
        ("toml", "a = 1\na = 2\n"),
        ("toml", "mcpServers = 1\n"),
        ("toml", "[[mcpServers]]\na = 1\n"),
        ("toml", "[mcpServers]\ncallers = 1\n"),
    ],
)
def test_text_that_cannot_be_read_is_refused_and_not_quoted(format: Format, text: str) -> None:  # noqa: A002
    for edit in (
        lambda: get_entry(text, format, PATH),
        lambda: set_entry(text, format, PATH, VALUE),
        lambda: set_entry(text, format, PATH, None),
    ):
        with pytest.raises(UnreadableConfig) as refused:
            edit()
        assert len(str(refused.value)) < 100
        assert format == "json" or "JSON5" not in str(refused.value)


names = st.text(max_size=8).filter(lambda name: name != "callers" and name != "mcpServers")
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(names, values, max_size=4)
servers = st.none() | st.dictionaries(names, st.dictionaries(names, values, max_size=2), max_size=3)


@settings(deadline=None)
@given(contents, servers, st.sampled_from([None, 2, 4, "\t"]), st.booleans())
def test_any_json_keeps_its_meaning_and_bytes(
    content: dict[str, Any], container: dict[str, Any] | None, indent: int | str | None, in_ascii: bool
) -> None:
    whole = content if container is None else {**content, "mcpServers": container}
    text = json.dumps(whole, indent=indent, ensure_ascii=in_ascii)
    added = set_entry(text, "json", PATH, VALUE)
    assert json.loads(added) == {**content, "mcpServers": {**(container or {}), "callers": VALUE}}
    removed = set_entry(added, "json", PATH, None)
    assert squeezed(removed) == squeezed(text)
    assert removed == text or not container


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_either_edited_correctly_or_refused(text: str) -> None:
    for format in get_args(Format):  # noqa: A001
        try:
            added = set_entry(text, format, PATH, VALUE)
        except UnreadableConfig:
            continue
        assert get_entry(added, format, PATH) == VALUE
        assert squeezed(set_entry(added, format, PATH, None)) == squeezed(text)


def test_edited_toml_is_valid_for_another_parser() -> None:
    for text in TOML_DOCUMENTS.values():
        added = tomllib.loads(set_entry(text, "toml", PATH, VALUE))
        assert added.pop("mcpServers").pop("callers") == VALUE
