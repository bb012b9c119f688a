"""JSON schemas for the wire: few tokens for models, and only features that all hosts support."""

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel


@cache
def lean_schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """Return the model's JSON schema without ``title`` and ``default``, references resolved, null as a plain type.

    The docstrings of models are for readers of the code and are left out; the descriptions of fields are kept.

    In an input schema an optional field has one type, without null: Cursor rejects a call if a type is a union
    (https://forum.cursor.com/t/3778). In an output schema it is ``"type": ["string", "null"]``.

    The result is kept, because pydantic takes milliseconds to make it: do not change it.
    """
    schema = model.model_json_schema(mode=mode)
    definitions = schema.pop("$defs", {})
    for definition in (schema, *definitions.values()):
        definition.pop("description", None)
    return _lean(schema, definitions, keep_null=mode == "serialization")


def _lean(schema: dict[str, Any], definitions: dict[str, Any], *, keep_null: bool) -> dict[str, Any]:
    if "$ref" in schema:
        resolved = definitions[schema["$ref"].rpartition("/")[2]]
        schema = resolved | {name: value for name, value in schema.items() if name != "$ref"}
    if "anyOf" in schema:
        (kind,) = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        one_type = _lean(kind | rest, definitions, keep_null=keep_null)
        if keep_null:
            one_type["type"] = [one_type["type"], "null"]
            if "enum" in one_type:
                one_type["enum"] = [*one_type["enum"], None]
        return one_type
    lean: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            lean[name] = {field: _lean(inner, definitions, keep_null=keep_null) for field, inner in value.items()}
        elif name == "items":
            lean[name] = _lean(value, definitions, keep_null=keep_null)
        elif name not in ("title", "default"):
            lean[name] = value
    return lean
