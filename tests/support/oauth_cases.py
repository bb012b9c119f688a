"""Cases of access tokens for ``pytest.mark.parametrize``: a claim or header, its value, and the expected outcome."""

ABSENT = None
"""As a value: the token has no such claim or header member."""

Cases = list[tuple[str, object, str]]


def each(name: str, *values: object, gives: str) -> Cases:
    """Return a case for each value of a claim or header member, all with the same outcome."""
    return [(name, value, gives) for value in values]
