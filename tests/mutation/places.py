"""The places of a module: those that no mutant changes, and the statement around a line."""

import ast

Position = tuple[int, int]
"""Line, from 1, and column, from 0."""


def left_out(source: str) -> list[tuple[Position, Position]]:
    """Return where log texts and annotations begin and end: a change there is not a change of behaviour."""
    places: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"))):
                places.append(node)
            case ast.AnnAssign():
                places.append(node.annotation)
            case ast.arg(annotation=ast.expr() as annotation):
                places.append(annotation)
            case ast.FunctionDef(returns=ast.expr() as returns) | ast.AsyncFunctionDef(returns=ast.expr() as returns):
                places.append(returns)
    return [
        ((place.lineno, place.col_offset), (place.end_lineno or place.lineno, place.end_col_offset or 0))
        for place in places
    ]


def executed_with(source: str, line: int) -> range | None:
    """Return the lines of the smallest statement of a function with this line, or None if it runs at import.

    A default value and a decorator belong to the function that they are for.
    """
    found: list[tuple[ast.stmt, range]] = []  # outer ones first
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", [])))
            lines = range(first, (node.end_lineno or first) + 1)
            found += [(node, lines)] if line in lines else []
    in_function = any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node, _ in found)
    return found[-1][1] if in_function else None
