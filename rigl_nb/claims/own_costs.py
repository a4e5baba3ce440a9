"""What runs must have counted as their FLOPs, each by its own specification (section 3)."""

import math
from collections.abc import Iterable
from functools import partial

import pandas as pd
import torch

from rigl_nb import flops, iteration, methods, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.distributions import DISTRIBUTIONS, counts, erdos_renyi_kernel
from rigl_nb.runs.record import Record
from rigl_nb.spec import RunSpec

DRAWN = "bernoulli"  # counts by coins: such a run's layers keep no density on purpose


def constant(spec: RunSpec) -> bool:
    """Whether every layer keeps the density that the specification alone gives it; asked of masks of single weights."""
    method = methods.get(spec.method)
    kept = method.start in ("sparse", "none") and method.share is None
    return kept and spec.parent is None and spec.structure == "weight" and DRAWN not in spec.published_code


def expected(spec: RunSpec) -> tuple[float, float]:
    """FLOPs of a prediction and of the training of a `constant` run, as fractions of the dense network's, from shapes.

    A run with an exponent has the densities of that exponent.
    """
    method, example = methods.get(spec.method), SOURCES[spec.data].example
    with torch.device("meta"):
        network, full = iteration.network(spec), iteration.network(spec, full=True)
    dense, cost, share = flops.inference_flops(full, example), flops.layer_flops(network, example), {}
    if method.masked:
        shapes = {n: tuple(w.shape) for n, w in models.maskable(network, first_layer=spec.init != "Random").items()}
        spread = DISTRIBUTIONS[spec.init]
        if spec.exponent != 1:
            spread = partial(erdos_renyi_kernel, exponent=spec.exponent)
        active = counts(shapes, spread(shapes, spec.density))
        share = {name: active[name] / math.prod(shape) for name, shape in shapes.items()}
    f = flops.weighted(cost, share) / dense
    updates = len(range(spec.delta_t - 1, spec.t_end, spec.delta_t)) if method.moves and method.dense_gradients else 0
    more = updates / spec.total_steps * (flops.step_fraction(f, dense_gradients=True) - f)
    return f, (f + more) * spec.multiplier


def compared(records: Iterable[Record]) -> pd.DataFrame:
    """A row for every `constant` run: the costs that it counted, and those that its specification gives."""
    rows = []
    for record in records:
        if constant(record.spec):
            rows.append((record.spec.run_id, record.test_flops, record.train_flops, *expected(record.spec)))
    return pd.DataFrame(rows, columns=["run", "test", "train", "test by shapes", "train by shapes"])


def unmoved(record: Record) -> bool:
    """Whether every layer of a run kept its number of active weights."""
    return all(entry["counts"] == record.active[0]["counts"] for entry in record.active)


def kept(records: Iterable[Record]) -> dict[str, bool]:
    """Whether the layers of each run of SET and RigL kept their numbers of weights; counts by coins are not asked."""
    asked = [r for r in records if r.spec.method in ("SET", "RigL") and DRAWN not in r.spec.published_code]
    return {record.spec.run_id: unmoved(record) for record in asked}
