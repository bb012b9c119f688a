"""The places of a module that no mutant changes."""

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
