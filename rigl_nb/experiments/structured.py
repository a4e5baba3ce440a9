"""Structured sparsity, which the report's abstract has in view: which runs (section 13)."""

from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.spec import RunSpec

DENSITY = 0.2
EQUAL_TIME = 0.25  # of the largest Small-Dense tried whose step takes no longer than with DENSITY's channels, by clock
HALF = 0.5  # the one density of 2:4


def runs(profile: Profile) -> list[RunSpec]:
    """Dense networks of three sizes; single weights; and each structure: channels by three methods, others by RigL."""
    rows = [Row("Dense", None, 1.0), *(Row("Small-Dense", None, density) for density in (DENSITY, EQUAL_TIME))]
    rows += [row("RigL", "channel"), row("Static", "channel"), row("SET", "channel")]
    rows += [Row("RigL", "ERK", DENSITY), row("RigL", "kernel", "ERK"), row("RigL", "fan-in", "ERK")]
    rows += [row("RigL", "2:4", density=HALF)]
    return [profile.spec(row, seed) for seed in profile.structured_seeds for row in rows]


def row(method: str, structure: str, init: str = "Random", density: float = DENSITY) -> Row:
    """A row of a structure; ERK where the layers may differ, as for single weights."""
    return Row(method, init, density, fields={"structure": structure})
