"""Owns the name of what a weights segment holds: whoever maps it must be about to run the same, by the same code."""


def identity_of(model: str, dtype: str, **versions: str) -> str:
    """Model, number type, and the versions of the packages that lay the weights out and compute with them."""
    return f"{model} in {dtype} by {' and '.join(f'{name} {version}' for name, version in versions.items())}"
