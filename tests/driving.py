"""Drive the generator of one run, or the engine in processes that are killed; small runs of the embedded digits."""

import math
import os
import signal
import sys
from contextlib import contextmanager, suppress

import torch
from records import ORIGIN

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.methods import METHODS
from rigl_nb.runs import attempt, engine, turns, workers
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec
from rigl_nb.train import train

PLAIN = Execution(device="cpu", precision="fp32", channels_last=False, threads=1)
NATIVE = Execution(device="cpu", precision="bf16", channels_last=True, threads=1)


def tiny(method="RigL", **fields):
    """Return a run of 2 epochs of 11 iterations: updates at 3, 7, 11 and 15 where there are any."""
    defaults = {"data": "digits", "epochs": 2, "dropout": 0.2, "decay_every": 9, "warmup": 3}
    if METHODS[method].start == "sparse":
        defaults["init"] = "ERK"
    if method != "Dense":
        defaults["density"] = 0.2
    if METHODS[method].moves:
        defaults["delta_t"] = 4
    if method == "Pruning":
        defaults["prune_start"] = 5
    if method == "Lottery":
        defaults["parent"] = tiny("Pruning", **{k: v for k, v in fields.items() if k == "seed"})
    return RunSpec(method=method, **(defaults | fields))


def drive(spec, execution=PLAIN, parent=None, state=None, look=None):
    """Run to the end; call `look` with every progress; return (result, last snapshot)."""
    run, last = train(spec, execution, parent, state), None
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
    return {name: getattr(result, name) for name in fields} | {"test_correct": result.test_correct.tolist()}


# ---- the engine and what it leaves


def run(specs, store, **options):
    """Train with the engine, plainly unless `execution` says otherwise."""
    return engine.run(specs, store, **({"execution": PLAIN} | options))


def stored(store) -> dict:
    """Return the numbers of a store's records by run id."""
    return {one.spec.run_id: one.numbers() for one in store.records()}


def held(store, spec) -> int:
    """Return how many iterations of the run a record or a checkpoint holds; 0 where there is neither."""
    if store.find(spec):
        return spec.total_steps
    file = store.path(spec, ".checkpoint")
    return torch.load(file)["step"] if file.exists() else 0


def trainings(monkeypatch) -> list:
    """Return a list that collects the run ids whose training begins from now on, in order."""
    begun, plain = [], attempt.train

    def train(spec, *args):
        begun.append(spec.run_id)
        return (yield from plain(spec, *args))

    monkeypatch.setattr(attempt, "train", train)
    return begun


# ---- the engine in a process of its own


class Engine:
    """Train in another process, with a checkpoint at every iteration; what it says comes through `hear`."""

    def __init__(self, store, specs, **how):
        context = workers.processes()
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, store.root, specs), kwargs=how)
        self.process.start()
        theirs.close()

    def hear(self):
        """Yield (what, run id, step) until the process is gone; `what` is begun or the kind of an event."""
        with suppress(EOFError, ConnectionResetError):
            while True:
                yield self.line.recv()

    def until(self, *message) -> list:
        """Return what it says up to this message, which must come."""
        told = []
        for said in self.hear():
            told.append(said)
            if said == message:
                return told
        raise AssertionError(f"the process ended with {self.end()} and never said {message}: {told}")

    def end(self) -> int:
        """Return its exit code, once it is gone."""
        self.process.join()
        return self.process.exitcode


def _work(line, root, specs, wait=(), bomb=None, arguments=()) -> None:
    """Train; pause after the message `wait` until the other side answers; die by `bomb(*arguments)`."""

    def say(*message) -> None:
        with suppress(BrokenPipeError):
            line.send(message)
        if message == wait:
            line.recv()

    def begun(spec, execution, parent, state):
        say("begun", spec.run_id, state["step"] if state else 0)
        return (yield from train(spec, execution, parent, state))

    attempt.CHECKPOINT_EVERY, turns.NOTIFY_EVERY, turns.LOOK_AGAIN = -math.inf, 0, 0.05
    attempt.train, engine.provenance = begun, lambda device: ORIGIN
    say("ready")
    if bomb:
        bomb(*arguments)
    run(specs, Store(root), notify=lambda event: say(event.kind, event.spec.run_id, event.step))


def at_its_beginning(*arguments) -> None:
    """Stand for a worker that has not come to its first line."""
    signal.pause()


def at_line(number, count) -> None:
    """Send this process a signal when it comes to the `count`-th line of the package's code, repetitions included."""
    home = str(paths.ROOT / "rigl_nb")

    def trace(frame, event, argument):
        nonlocal count
        if not frame.f_code.co_filename.startswith(home):
            return None
        if event == "line":
            count -= 1
            if count == 0:
                os.kill(os.getpid(), number)
        return trace

    sys.settrace(trace)


def in_the_bytes(count) -> None:
    """Kill this process half way through the bytes of the `count`-th file that it writes."""
    plain = os.fdopen

    def fdopen(handle, *mode):
        nonlocal count
        count -= 1
        file = plain(handle, *mode)
        return file if count else _Half(file)

    os.fdopen = fdopen


class _Half:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        raise AssertionError("nothing was written")

    def write(self, data) -> None:
        os.write(self.file.fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


def before_the_name(count) -> None:
    """Kill this process when the `count`-th file that it writes is whole, but not yet in its place."""
    plain = os.replace

    def replace(source, target):
        nonlocal count
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(source, target)

    os.replace = replace


@contextmanager
def crashing(monkeypatch, step):
    """Let every run crash in this iteration, each one before it with a checkpoint."""
    plain = attempt.train

    def train(*arguments):
        for progress in plain(*arguments):
            if progress.step == step:
                raise RuntimeError("stop")
            yield progress

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "CHECKPOINT_EVERY", -math.inf)
        patch.setattr(attempt, "train", train)
        yield
