"""Trains the runs that no record holds yet: in this process, or on a cluster; safe to interrupt."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rigl_nb import data, methods
from rigl_nb.execution import Execution
from rigl_nb.runs import turns
from rigl_nb.runs.attempt import Event, Notify, Setting, busy, failed
from rigl_nb.runs.batch import on_cluster
from rigl_nb.runs.cluster import Cluster, Pool, opened
from rigl_nb.runs.origin import provenance
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec


@dataclass(frozen=True)
class Summary:
    """What came of a batch: runs trained, runs left for another time, and the reason of every crash by run id."""

    trained: int
    failed: dict[str, str]
    left: int = 0


def missing(specs: Iterable[RunSpec], *stores: Store) -> list[RunSpec]:
    """The runs that no store holds, each once, in the given order; RecordError names a damaged record.

    Before a run comes its parent, where no store holds what that left.
    """
    todo: dict[str, RunSpec] = {}

    def add(spec: RunSpec) -> None:
        if spec.parent and not any(store.finished(spec.parent) for store in stores):
            add(spec.parent)
        todo.setdefault(spec.run_id, spec)

    for spec in specs:
        if not any(store.find(spec) for store in stores):
            add(spec)
    return list(todo.values())


def campaign(
    ask: Callable[[], Iterable[RunSpec]],
    store: Store,
    published: Iterable[Store] = (),
    show: Callable[[list[RunSpec]], AbstractContextManager[Notify]] = lambda todo: nullcontext(lambda event: None),
    workers: int | str | Cluster = 1,
    **how,
) -> Summary:
    """Train what `ask` wants, and ask again, until it wants nothing more: a study's next trial follows from results.

    `show` gives a listener for each batch of `run`, `how` goes to it; `workers` serve them all. No run is tried twice.
    """
    published, total, tried = tuple(published), Summary(0, {}), set()
    with opened(workers) as pool:
        while todo := [spec for spec in missing(ask(), store, *published) if spec.run_id not in tried]:
            tried |= {spec.run_id for spec in todo}
            with show(todo) as notify:
                batch = run(todo, store, published, notify=notify, workers=pool, **how)
            total = Summary(total.trained + batch.trained, total.failed | batch.failed, batch.left)
            if batch.left:
                break
    return total


def run(
    specs: Iterable[RunSpec],
    store: Store,
    published: Iterable[Store] = (),
    execution: Execution | None = None,
    workers: int | str | Cluster | Pool = 1,
    deadline: float = math.inf,
    asked: Callable[[], bool] = lambda: False,
    notify: Notify = lambda event: None,
    compact: bool = False,
) -> Summary:
    """Train what neither `store` nor `published` holds and save it in `store`, in the given order.

    `execution.sharing` runs take turns in this process, which overlaps them on a GPU. `workers` says where else, as in
    `Cluster.parse`: there each run gets a process of its own with one CPU thread, which suits tiny networks. `compact`
    is the execution's where none is given. A crash is kept with its reason and does not stop the others. SIGINT,
    SIGTERM, the `deadline` (of `time.monotonic`) and `asked`, when it says yes, leave checkpoints behind; the same call
    goes on from them.
    """
    published = tuple(published)
    todo = missing(specs, store, *published)
    with opened(workers) as pool:
        setting = _setting(todo, store, published, execution, pool.cluster, compact)
        with turns.deferred() as signals:
            stop = turns.Stop(deadline, signals, asked)
            ends = _train(todo, setting, pool, stop, notify)
    stop.leave()
    kinds = [event.kind for event in ends.values()]
    crashed = {run_id: event.text for run_id, event in ends.items() if event.kind == "failed"}
    return Summary(kinds.count("done"), crashed, len(kinds) - kinds.count("done") - len(crashed))


def check_compact(specs: Iterable[RunSpec], compact: bool) -> None:
    """Raise ValueError for a batch that cannot be `compact` as a whole, which names a structure of no small network."""
    if compact and (other := {spec.structure for spec in specs} - {"channel"}):
        way = "train those of channels alone, by `run` with --structure channel"
        raise ValueError(f"compact is not allowed with runs of structure {min(other)}: {way}")


def _setting(
    todo: list[RunSpec],
    store: Store,
    published: tuple,
    execution: Execution | None,
    cluster: Cluster,
    compact: bool = False,
) -> Setting:
    """How the runs are trained, the same for all, with their images decoded before any worker asks for them."""
    check_compact(todo, compact)
    if not cluster.alone and (own := {spec.method for spec in todo} - methods.BUILT_IN):
        raise ValueError(f"method {min(own)!r} is known to this process only: train it with one worker")
    if not cluster.remote:
        for name in sorted({spec.data for spec in todo}):
            data.load(name)
        execution = execution or Execution.best(None if cluster.alone else 1, cluster.sharing, compact)
    origin = provenance(execution.device if execution else "cpu")
    return Setting(store, published, execution, origin, store.mark() if cluster.remote and todo else "", compact)


def _train(todo: list[RunSpec], setting: Setting, pool: Pool, stop: turns.Stop, notify: Notify) -> dict[str, Event]:
    """Train the runs in this process or on the cluster, again and again where others hold them; their ends by id."""
    store = setting.store
    ends = {spec.run_id: Event(spec, "left") for spec in todo}

    def hear(event: Event) -> None:
        if event.kind != "progress":
            ends[event.spec.run_id] = event
        notify(event)

    while todo and not stop.due(0):
        here = len(todo) == 1 or all(busy(spec, store) for spec in todo)  # worth no start of a cluster
        if pool.cluster.remote or not (pool.cluster.alone or here):
            on_cluster(todo, setting, pool, stop, hear)
        else:
            turns.take_turns(todo, setting, stop, hear)
        todo = [spec for spec in todo if ends[spec.run_id].kind == "busy"]
        lost = {run_id for run_id, event in ends.items() if event.kind == "failed"}
        for orphan in [spec for spec in todo if spec.parent and spec.parent.run_id in lost]:
            todo.remove(orphan)
            hear(failed(orphan, store, f"its parent {orphan.parent.run_id} failed"))
        if todo and not stop.due(0):
            time.sleep(turns.LOOK_AGAIN)
    return ends
