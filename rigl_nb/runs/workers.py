"""One run inside a dask task: in a process of its own on the worker's machine, for as long as a client wants it.

A machine shares the client's store if it finds the store's mark there and a file that it renames is seen at once. Then
what the run leaves lies in that store, its checkpoint too, and any other machine that shares it can go on with the run.
Else they lie in the machine's own `build/runs`. All but a checkpoint comes back through dask in both cases.
"""

import functools
import logging
import multiprocessing
import os
import signal
import socket
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.runs import attempt, turns
from rigl_nb.runs.attempt import Event, Setting, failed
from rigl_nb.runs.origin import hardware, provenance
from rigl_nb.runs.store import Store, write
from rigl_nb.runs.turns import Stop
from rigl_nb.spec import RunSpec

TOPIC = "rigl_nb"  # of the messages, at the scheduler
TRIAL = ".trial-"  # begins the names of files that are written to see who sees them
LOOK = 0.2  # seconds until a run looks again whether somebody wants it
NEEDED = ("torch._dynamo", "distributed")  # imported late, the first by the first optimiser
OVER = ("closing", "closed", "stopping")  # states of a worker that ends


@dataclass(frozen=True)
class Outcome:
    """What a task returns: how the run ended, and what it left (`Store.files`)."""

    event: Event
    files: dict[str, bytes]


def processes(*more: str) -> BaseContext:
    """How processes are started: forked from one that has imported once what all of them need, and `more` modules."""
    available = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in available else "spawn")
    context.set_forkserver_preload([__name__, *NEEDED, *more])
    return context


def dask_setup(worker) -> None:
    """What dask calls in a local worker, before it works.

    Ctrl-C is for the client, which tells its workers what it means. The server that the worker was forked from forks
    its trainings too: Python would start, and fill, another one for each worker.
    """
    os.setpgrp()
    logging.getLogger("distributed.worker").addFilter(wrong)
    server = forkserver._forkserver
    if getattr(server, "_forkserver_address", None):
        server.ensure_running = lambda: None


def wrong(record: logging.LogRecord) -> bool:
    """Whether something went wrong: dask may log, as errors, the tasks and streams that the end of a batch ends."""
    from distributed.comm import CommClosedError

    return not (record.exc_info and isinstance(record.exc_info[1], (CancelledError, CommClosedError)))


def work(spec: RunSpec, setting: Setting, parent: Outcome | None) -> Outcome:
    """Train one run, or say why not; messages go to the topic, the last one too. Equal runs are equal calls.

    `parent` is what the run that this one starts from has left. Raises ValueError where this is other code than the
    client's.
    """
    from distributed import get_worker

    worker = get_worker()
    key, name = worker.get_current_task(), worker.name
    setting = here(setting)

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and worker.status.name not in OVER

    def tell(event: Event, slowest: float = 0.0) -> None:
        message = {"kind": event.kind, "step": event.step, "text": event.text, "speed": event.speed}
        worker.log_event(TOPIC, message | {"run": key, "slowest": slowest, "host": socket.gethostname()})

    event = _without_training(spec, setting, parent)
    if not event:
        share = worker.state.nthreads
        event = _supervise(spec, setting, _gpu(name), share, tell, wanted)
    tell(event)
    return Outcome(event, setting.store.files(spec))


def here(setting: Setting) -> Setting:
    """The batch's setting on this machine: the client's store where it is shared, and where the code comes from.

    A batch without a mark has workers that its client started here, from what it had imported.
    """
    if not setting.mark:
        return setting
    mine, theirs = provenance("cpu"), setting.origin["commit"]
    if mine["commit"] != theirs:
        raise ValueError(
            f"a worker on {socket.gethostname()} has commit {mine['commit']} of the code, its client has {theirs}: "
            "give both the same one and start them again"
        )
    store = setting.store if shared(setting.store, setting.mark) else Store(paths.runs())
    return replace(setting, store=store, origin=mine)


def answer(setting: Setting, question: Path) -> Path | None:
    """Repeat the client's fresh file in a file beside it, empty where it is not seen; None: the store is not shared."""
    if here(setting).store != setting.store:
        return None
    path = question.with_name(f"{question.name}-{socket.gethostname()}-{os.getpid()}")
    write(path, question.read_text() if question.exists() else "")
    return path


@functools.cache
def shared(store: Store, mark: str) -> bool:
    """Whether this machine sees the client's store, and what it renames there is whole at once."""
    trial = Path(store.root) / f"{TRIAL}{socket.gethostname()}-{os.getpid()}"
    try:
        if not (Path(store.root) / mark).exists():
            return False
        for content in ("first", "second"):
            write(trial, content)
            if trial.read_text() != content:
                return False
        trial.unlink()
    except OSError:
        return False
    return True


def _without_training(spec: RunSpec, setting: Setting, parent: Outcome | None) -> Event | None:
    """The end of a run that cannot, or need not, be trained now."""
    store = setting.store
    if store.finished(spec):
        return attempt.done(store.find(spec))
    if parent and parent.event.kind == "failed":
        return failed(spec, store, f"its parent {spec.parent.run_id} failed")
    if parent and parent.event.kind != "done":
        return Event(spec, "busy", text=f"its parent {spec.parent.run_id} is not trained yet")
    if parent and not any(one.finished(spec.parent) for one in (store, *setting.published)):
        store.keep(spec.parent, parent.files)
    return Event(spec, "busy", text="another process trains it") if attempt.busy(spec, store) else None


def _supervise(
    spec: RunSpec, setting: Setting, gpu: str | None, share: int, tell: Callable[..., None], wanted: Callable[[], bool]
) -> Event:
    """Train the run in a process; end that process, which leaves a checkpoint, when nobody wants the run any more."""
    context = processes()
    multiprocessing.current_process().daemon = False  # dask's workers are daemons, which may start no process
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(theirs, spec, setting, gpu, share), daemon=True)
    process.start()
    theirs.close()
    with ours:
        while True:
            if not wanted():
                process.terminate()
            if not ours.poll(LOOK):
                continue
            try:
                event, slowest = ours.recv()
            except (EOFError, OSError):  # nothing more, or half a message
                process.join()
                if process.exitcode == -signal.SIGTERM:  # before it could heed it
                    return Event(spec, "left", text="its process was ended")
                return failed(spec, setting.store, f"its process ended with exit code {process.exitcode}")
            if event.kind != "progress":
                process.join()
                return event
            tell(event, slowest)


def _gpu(name: object) -> str | None:
    """The GPU of a worker that has a number, where a machine has several: its workers spread over them."""
    count = torch.cuda.device_count()
    if count < 2 or not isinstance(name, int):
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (visible.split(",") if visible else [str(number) for number in range(count)])[name % count]


def _train(connection, spec: RunSpec, setting: Setting, gpu: str | None, share: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the client passes on what it means
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA starts, which is later
    execution = setting.execution or Execution.best(threads=1, sharing=share, compact=setting.compact)
    origin = setting.origin | ({"hardware": hardware(execution.device)} if setting.mark else {})

    def tell(event: Event) -> None:
        try:
            connection.send((event, stop.slowest))
        except BrokenPipeError:  # the worker is gone: leave a checkpoint and follow it
            signal.raise_signal(signal.SIGTERM)

    with turns.deferred() as signals:
        stop = Stop(signals=signals)
        turns.take_turns([spec], replace(setting, execution=execution, origin=origin), stop, tell)
