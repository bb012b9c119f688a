"""Cases of access tokens for ``pytest.mark.parametrize``: a claim or header, its value, and the expected outcome."""

ABSENT = None
"""As a value: the claim or the member is left out."""

Cases = list[tuple[str, object, str]]


def each(name: str, *values: object, gives: str) -> Cases:
    """Return a case for each value of a claim, or of a member of the header, all with the same outcome."""
    return [(name, value, gives) for value in values]
