"""What runs must have counted as their FLOPs, each by its own specification (section 3)."""

import functools
import math
from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from torch import nn

from rigl_nb import flops, iteration, methods, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.distributions import DISTRIBUTIONS, counts, erdos_renyi_kernel
from rigl_nb.runs.record import Record, RecordError
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
    method, active = methods.get(spec.method), {}
    if method.masked:
        network, _ = _network(spec.data, spec.model)
        shapes = {n: tuple(w.shape) for n, w in models.maskable(network, first_layer=spec.init != "Random").items()}
        spread = DISTRIBUTIONS[spec.init]
        if spec.exponent != 1:
            spread = functools.partial(erdos_renyi_kernel, exponent=spec.exponent)
        active = counts(shapes, spread(shapes, spec.density))
    f = by_counts(spec, active)
    updates = len(range(spec.delta_t - 1, spec.t_end, spec.delta_t)) if method.moves and method.dense_gradients else 0
    more = updates / spec.total_steps * (flops.step_fraction(f, dense_gradients=True) - f)
    return f, (f + more) * spec.multiplier


@functools.cache
def _network(data: str, model: str, density: float = 1.0) -> tuple[nn.Module, dict[str, float]]:
    """A dense network without any memory, narrowed to the density, and FLOPs of its layers."""
    spec = RunSpec(data=data, model=model, method="Dense" if density == 1 else "Small-Dense", density=density)
    with torch.device("meta"):
        network = iteration.network(spec)
    return network, flops.layer_flops(network, SOURCES[data].example)


def by_counts(spec: RunSpec, active: Mapping[str, int]) -> float:
    """FLOPs of a prediction with these active weights, as a fraction of the dense network's; other layers are dense."""
    narrow = spec.density if methods.get(spec.method).narrow else 1.0
    (network, cost), (_, dense) = _network(spec.data, spec.model, narrow), _network(spec.data, spec.model)
    sizes = {name: weight.numel() for name, weight in models.maskable(network).items()}
    share = {name: count / sizes[name] for name, count in active.items()}
    return flops.weighted(cost, share) / sum(dense.values())


def check(records: Iterable[Record]) -> None:
    """Count FLOPs again: those of a prediction from the last masks, and those of training where the layers keep theirs.

    RecordError names the first record that says another number.
    """
    for record in records:
        spec = record.spec
        try:
            again = {"test_flops": by_counts(spec, record.active[-1]["counts"])}
        except (KeyError, ValueError) as error:
            raise RecordError(
                f"{spec.run_id}: its active weights are not those of {spec.model} ({error}). Train the run again"
            ) from error
        again["dense_flops"] = sum(_network(spec.data, spec.model)[1].values())
        if constant(spec):
            again["train_flops"] = expected(spec)[1]
        for name, value in again.items():
            if not math.isclose(said := getattr(record, name), value, rel_tol=1e-9):
                raise RecordError(
                    f"{spec.run_id}: {name} is {said!r} in its record, but {value!r} by its masks and specification. "
                    "Train the run again"
                )


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
