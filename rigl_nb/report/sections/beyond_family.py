"""Distributions between Uniform and ERK, and somewhat beyond, at the cost of one prediction (section 6.3).

A member's layer densities are in proportion to a power of ERK's ratio; its density follows from the cost.
"""

import math
from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure

from rigl_nb import flops, iteration, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.distributions import counts, erdos_renyi_kernel, uniform
from rigl_nb.experiments import grids
from rigl_nb.experiments.profiles import Profile
from rigl_nb.report.figures.style import STYLE, Picture
from rigl_nb.spec import RunSpec

EXPONENTS = (-0.5, 0.0, 0.5, 1.0, 1.5)
REFERENCE = "Random"  # the report's Uniform: its first layer is dense
MARKERS = "vosD^"


def member(profile: Profile, exponent: float) -> RunSpec:
    """A run of the distribution with this exponent, seed 0: 0 is the same density everywhere, 1 is ERK."""
    (study,) = grids.distributions(profile)
    return profile.spec(study.row({"exponent": exponent}), 0)


def family(profile: Profile, exponents: Iterable[float] = EXPONENTS) -> dict[str, RunSpec]:
    """A run of the reference, whose cost all have, and of each member, by name; seed 0."""
    reference = grids.spread_reference(profile)[0]
    return {REFERENCE: reference} | {f"exponent {signed(e)}": member(profile, e) for e in exponents}


def layers(spec: RunSpec) -> pd.DataFrame:
    """Weights, active weights at the start, density and dense FLOPs of every layer, in the model's order."""
    network = iteration.network(spec)
    shapes = {name: tuple(weight.shape) for name, weight in models.maskable(network).items()}
    covered = dict(list(shapes.items())[spec.init == REFERENCE :])
    if spec.init == REFERENCE:
        densities = uniform(covered, spec.density)
    else:
        densities = erdos_renyi_kernel(covered, spec.density, spec.exponent)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    table = pd.DataFrame({"weights": sizes, "active": sizes | counts(covered, densities)})
    cost = flops.layer_flops(network, SOURCES[spec.data].shape)
    return table.assign(density=table["active"] / table["weights"], flops=pd.Series(cost))


def costs(specs: Mapping[str, RunSpec]) -> pd.DataFrame:
    """What runs of RigL need, by name: active weights, their share of all (`density`), and FLOPs.

    FLOPs are fractions of the dense network's, counted from whole weights; training with every update of the masks.
    """
    rows = {}
    for name, spec in specs.items():
        table = layers(spec)
        active = int(table["active"].sum())
        test = float((table["flops"] * table["density"]).sum() / table["flops"].sum())
        updates = spec.t_end // spec.delta_t / spec.total_steps  # as a share: these have dense weight gradients
        train = test + updates * (flops.step_fraction(test, dense_gradients=True) - test)
        rows[name] = (active, active / int(table["weights"].sum()), test, train)
    return pd.DataFrame.from_dict(rows, "index", columns=["active", "density", "test_flops", "train_flops"])


@rc_context(STYLE)
def layer_densities(specs: Mapping[str, RunSpec]) -> Figure:
    """Density of every layer, a line for each run; the reference is dashed, the others go from dark to light."""
    figure = Picture(4.0)
    axis = figure.subplots()
    shades = iter(colormaps["viridis"].resampled(len(specs)).colors)
    for place, (name, spec) in enumerate(specs.items()):
        table = layers(spec)
        look = {"color": "black", "linestyle": "--", "linewidth": 1, "zorder": 3}
        if spec.init != REFERENCE:
            look = {"color": next(shades), "marker": MARKERS[place % len(MARKERS)], "markersize": 4}
        share = table["active"].sum() / table["weights"].sum()
        axis.plot(range(len(table)), table["density"], label=f"{name}: density {share:.4f}", **look)
    names = [name.removesuffix(".weight") for name in table.index]
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axis.set(yscale="log", ylabel="density of the layer (log scale)")
    axis.set_yticks(ticks := [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def signed(value: float, form: str = "g") -> str:
    """A number with a minus sign as it is printed."""
    return f"{value:{form}}".replace("-", "−")
