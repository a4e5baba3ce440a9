"""Errors that name a value and what is allowed in its place."""


def choice(name: str, value: object, allowed) -> None:
    """Raise ValueError unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is unknown: allowed are {', '.join(allowed)}")


def at_least(name: str, value: object, low: int) -> None:
    """Raise ValueError unless the value is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} {value!r} is not allowed: it must be a whole number of at least {low}")


def within(name, value, low, high, low_closed=False, high_closed=False) -> None:
    """Raise ValueError unless the value is a number between `low` and `high`; ends are allowed where closed."""
    above = isinstance(value, int | float) and (value >= low if low_closed else value > low)
    if not (above and (value <= high if high_closed else value < high)):
        left, right = ("at least" if low_closed else "above"), ("at most" if high_closed else "below")
        raise ValueError(f"{name} {value!r} is not allowed: it must be {left} {low} and {right} {high}")
