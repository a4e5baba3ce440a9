"""Errors that name a value and what is allowed in its place."""

from numbers import Integral, Real


def choice(name: str, value: object, allowed) -> None:
    """Raise ValueError unless the value is one of those names that are allowed."""
    if not isinstance(value, str) or value not in allowed:  # a list has no hash to look for
        raise ValueError(f"{name} {value!r} is unknown: allowed are {', '.join(allowed)}")


def kind(name: str, value: object, wanted: type) -> None:
    """Raise ValueError unless the value is of that type."""
    if not isinstance(value, wanted):
        raise ValueError(f"{name} {type(value).__name__} is not allowed: it must be a {wanted.__name__}")


def at_least(name: str, value: object, low: int, why: str = "") -> None:
    """Raise ValueError unless the value is a whole number of at least `low`, Python's or numpy's."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        what = f"it must be a whole number of at least {low}"
        raise ValueError(f"{name} {value!r} is not allowed: {what}{why and f'; {why}'}")


def within(name, value, low, high, low_closed=False, high_closed=False) -> None:
    """Raise ValueError unless the value is a number between `low` and `high`; ends are allowed where closed."""
    above = isinstance(value, Real) and not isinstance(value, bool) and (value >= low if low_closed else value > low)
    if not (above and (value <= high if high_closed else value < high)):
        left, right = ("at least" if low_closed else "above"), ("at most" if high_closed else "below")
        raise ValueError(f"{name} {value!r} is not allowed: it must be {left} {low} and {right} {high}")
