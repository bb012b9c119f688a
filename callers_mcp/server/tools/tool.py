"""A tool: its definition, and a function from its input model to its output model."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from callers_mcp.api.client import CallersClient
from callers_mcp.api.errors import Advice, CallersError, InvalidArguments, expected, internal_error
from callers_mcp.api.json_reader import type_name
from callers_mcp.sanitize import quote
from callers_mcp.server.tools.schema import lean_schema

if TYPE_CHECKING:
    from mcp_types import Tool as WireTool

InputT = TypeVar("InputT", bound=BaseModel)
OutputT = TypeVar("OutputT", bound=BaseModel)

# n8n adds these to every call; no tool has such an argument. https://github.com/n8n-io/n8n/issues/21500, 21716, 37308
IGNORED_ARGUMENTS = frozenset({"toolCallId", "sessionId", "action", "chatInput", "tool"})

_MAX_NAMED_ERRORS = 3  # invalid arguments that are explained one by one


ArgumentHelp = str | Advice | Callable[[str | None], Advice]


@dataclass(frozen=True, slots=True)
class Tool(Generic[InputT, OutputT]):
    """A tool as the server lists and calls it.

    Attributes:
        name: The name in a call.
        title: The name that people see.
        description: What the model reads before it decides to call.
        input_model: Validates the arguments; the model reads the descriptions of its fields.
        argument_help: For each argument, what it takes, or a function that returns it for the text that was passed
            (``None`` if it was not a text); part of the message if the argument is missing or invalid.
        output_model: The shape of ``structuredContent``.
        run: Does the work; raises ``CallersError``.
        texts: Renders the output as text blocks.
        meta: The ``_meta`` of the definition, for hosts; models do not see it.
        structured: Returns the output as plain objects.
    """

    name: str
    title: str
    description: str
    input_model: type[InputT]
    argument_help: Mapping[str, ArgumentHelp]
    output_model: type[OutputT]
    run: Callable[[InputT, CallersClient], Awaitable[OutputT]]
    texts: Callable[[OutputT], Sequence[str]]
    meta: Mapping[str, Any] | None = None
    structured: Callable[[OutputT], dict[str, Any]] = BaseModel.model_dump

    def definition(self) -> "WireTool":
        """Return the tool's definition for ``tools/list``."""
        from mcp_types import Tool as WireTool  # not needed at the command line
        from mcp_types import ToolAnnotations

        return WireTool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=lean_schema(self.input_model, "validation"),
            output_schema=lean_schema(self.output_model, "serialization"),
            annotations=ToolAnnotations(
                read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
            ),
            _meta=dict(self.meta) if self.meta else None,
        )

    async def call(self, arguments: Mapping[str, Any] | None, client: CallersClient) -> dict[str, Any]:
        """Validate the arguments, run the tool, and return the result of ``tools/call``.

        Raises:
            CallersError: See ``callers_mcp.api.errors``. An unexpected exception is logged, then ``InternalError``.
        """
        try:
            output = await self.run(self.parse(arguments, client.mask), client)
            content = [{"type": "text", "text": text} for text in self.texts(output)]
            return {"content": content, "structuredContent": self.structured(output), "isError": False}
        except CallersError:
            raise
        except Exception:
            raise internal_error(self.name) from None

    def parse(self, arguments: Mapping[str, Any] | None, mask: Callable[[str], str]) -> InputT:
        """Validate a call's arguments; ``mask`` is applied to what an error message quotes.

        Raises:
            InvalidArguments: An argument is invalid; the message says what is expected.
        """
        given = {name: value for name, value in (arguments or {}).items() if name not in IGNORED_ARGUMENTS}
        try:
            return self.input_model.model_validate(given)
        except ValidationError as error:
            problems = error.errors()
            wrong = [
                self._explain(details["type"], str(details["loc"][0]), given, mask)
                for details in problems[:_MAX_NAMED_ERRORS]
            ]
            if len(problems) > _MAX_NAMED_ERRORS:
                wrong.append(f"{len(problems) - _MAX_NAMED_ERRORS} more arguments are wrong.")
            raise InvalidArguments(*wrong) from None

    def _explain(self, kind: str, name: str, given: Mapping[str, Any], mask: Callable[[str], str]) -> str | Advice:
        if kind == "extra_forbidden":
            from difflib import get_close_matches

            near = get_close_matches(name.lower(), self.argument_help, 1, 0.5)
            did_you_mean = f", did you mean {near[0]}?" if near else "."
            return f"Unknown argument {quote(mask(name), 60)}{did_you_mean} Accepted: {', '.join(self.argument_help)}."
        value = given.get(name)
        text = mask(value) if isinstance(value, str) else None
        takes = self.argument_help[name]
        takes = takes(text) if callable(takes) else takes
        if kind == "missing":
            return expected(f"{name} is missing", takes)
        shown = f"({type_name(value)})" if text is None else quote(text, 60)
        return expected(f"{name} {shown} is not valid", takes)
