"""The RigL paper's second task, characters of a text (its section 4.2): which runs."""

from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.spec import RunSpec

DATA, DENSITY, INIT = "pydoc", 0.25, "Random"  # three quarters of the weights at 0, uniformly, as in the paper


def runs(profile: Profile) -> list[RunSpec]:
    """Dense, the methods that train a sparse network, and Pruning; none where the profile has no text."""
    rows = [Row("Dense", None, 1.0, data=DATA)]
    rows += [Row(method, INIT, DENSITY, data=DATA) for method in ("RigL", "SET", "Static")]
    rows += [Row("Pruning", None, DENSITY, data=DATA)]
    return [profile.spec(row, seed) for row in rows for seed in profile.seeds if DATA in profile.data]
