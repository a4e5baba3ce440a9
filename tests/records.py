"""Made-up records: what a run would leave, without training it; and the specifications of tiny real runs."""

import math
from dataclasses import replace

import numpy as np
import torch

from rigl_nb import flops, iteration
from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.methods import METHODS
from rigl_nb.runs.record import Machine, Record, from_result
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec
from rigl_nb.train import Result

PLAIN = Execution(device="cpu", precision="fp32", channels_last=False, threads=1)
ORIGIN = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "date": "2030-01-31",
    "hardware": "Abacus, 2 cores",
    "python": "3.12.1",
    "versions": {"torch": "2.11.0", "numpy": "2.0.0"},
    "system": "Linux",
}
HERE, THERE = (Machine(name, PLAIN.precision) for name in (ORIGIN["hardware"], "Slide rule"))


def tiny(method="RigL", **fields) -> RunSpec:
    """Return a run of the digits of one epoch, 11 iterations, with an update of the masks every third."""
    defaults = {"data": "digits", "epochs": 1}
    if METHODS[method].start == "sparse":
        defaults["init"] = "ERK"
    if method != "Dense":
        defaults["density"] = 0.2
    if METHODS[method].moves:
        defaults["delta_t"] = 3
    if method == "Pruning":
        defaults["prune_start"] = 2
    if method == "Lottery":
        defaults["parent"] = tiny("Pruning", **{k: v for k, v in fields.items() if k == "seed"})
    return RunSpec(method=method, **(defaults | fields))


def result(spec: RunSpec, **changes) -> Result:
    """Return a result with numbers of many digits in every epoch."""
    thirds = [epoch / 3 for epoch in range(1, spec.total_epochs + 1)]
    history = tuple(
        {
            "epoch": epoch,
            "loss": 2 / third,
            "train_accuracy": 100 - 50 / third,
            "validation_accuracy": 100 - 60 / third,
            "learning_rate": 0.1 * 0.2 ** (epoch // 85),
            "drop_fraction": 0.15 * (1 + math.cos(third / 83)),
        }
        for epoch, third in enumerate(thirds, start=1)
    )
    layers = {f"blocks.{i}.conv{j}.weight": 14_000 + 37 * i + j for i in range(9) for j in (1, 2)}
    values = {
        "history": history,
        "active": ({"epoch": 0, "counts": layers},),
        "test_accuracy": 91.7,
        "test_flops": 1 / 7,
        "train_flops": 1 / 6,
        "dense_flops": 3.0e8,
        "seconds": 100 / 3,
        "images_per_second": 20_000 / 3,
        "masks": {},
        "test_correct": torch.zeros(0, dtype=torch.bool),
    }
    return Result(**(values | changes))


def made(spec: RunSpec, origin=None, **changes) -> Record:
    """Return the record of `result`; `origin` changes its provenance."""
    return from_result(spec, result(spec, **changes), PLAIN, ORIGIN | (origin or {}))


def kept(store: Store, spec: RunSpec, origin=None, right: np.ndarray | None = None, **changes) -> Record:
    """Save a made-up record with predictions that fit it; of a dense network, its costs are right, too."""
    if right is None:
        right = np.arange(SOURCES[spec.data].test) % 7 > 0
    numbers = {"test_accuracy": 100 * int(right.sum()) / right.size}
    if spec.method == "Dense":
        dense = flops.inference_flops(iteration.network(spec), SOURCES[spec.data].example)
        numbers |= {"test_flops": 1.0, "train_flops": 1.0, "dense_flops": dense}
        numbers["active"] = ({"epoch": 0, "counts": {}},)
    record = made(spec, origin, **(numbers | changes))
    store.save_correct(spec, right)
    store.save(record)
    return record


def timed(spec: RunSpec, seconds: float, machine: Machine = HERE) -> Record:
    """Return a record that took so many seconds on this machine."""
    record = made(spec, {"hardware": machine.hardware}, seconds=seconds)
    return replace(record, execution=record.execution | {"precision": machine.precision})


def files(folder) -> list[str]:
    """Return every file below `folder`, by its path from there."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
