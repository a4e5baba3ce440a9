"""Drive the generator of one run; small runs of the embedded digits for the tests of the loop."""

import torch

from rigl_nb.spec import Execution, RunSpec
from rigl_nb.train import train

PLAIN = Execution(device="cpu", precision="fp32", channels_last=False, threads=1)
NATIVE = Execution(device="cpu", precision="bf16", channels_last=True, threads=1)


def tiny(method="RigL", **fields):
    """Return a run of 2 epochs of 11 iterations: updates at 3, 7, 11 and 15 where there are any."""
    defaults = {"data": "digits", "epochs": 2, "dropout": 0.2, "decay_every": 9, "warmup": 3}
    if method not in ("Dense", "Small-Dense"):
        defaults["init"] = "ERK"
    if method != "Dense":
        defaults["density"] = 0.2
    if method in ("SET", "RigL"):
        defaults["delta_t"] = 4
    return RunSpec(method=method, **(defaults | fields))


def drive(spec, execution=PLAIN, state=None, look=None):
    """Run to the end; call `look` with every progress; return (result, last snapshot)."""
    run, last = train(spec, execution, state=state), None
    while True:
        try:
            last = next(run)
        except StopIteration as end:
            return end.value, last and last.snapshot()
        if look:
            look(last)


def leaves(value):
    """Return every tensor and number of a snapshot but for the times."""
    if isinstance(value, dict):
        value = {key: part for key, part in value.items() if key != "seconds"}
    return torch.utils._pytree.tree_leaves(value)


def equal(a, b):
    """Return whether two snapshots are the same, bit for bit (two NaN are the same)."""
    a, b = leaves(a), leaves(b)
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


def same(x, y):
    """Return whether two leaves are the same."""
    if torch.is_tensor(x):
        return x.dtype == y.dtype and x.shape == y.shape and torch.equal(x.nan_to_num(7.5), y.nan_to_num(7.5))
    return x == y or (x != x and y != y)


def numbers(result):
    """Return everything of a result that two equal runs share."""
    fields = ("history", "active", "test_accuracy", "test_flops", "train_flops", "dense_flops")
    return {name: getattr(result, name) for name in fields}
