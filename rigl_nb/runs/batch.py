"""The client's side of a batch on a cluster: submit its runs, hear from them, take their records, stop them.

A task's key is its run's id, so dask trains a run once, however many clients ask for it. It goes on as long as one of
them wants it.
"""

import math
import queue
import time
import uuid
from contextlib import suppress
from pathlib import Path

from rigl_nb.runs import turns, workers
from rigl_nb.runs.attempt import Event, Notify, Setting, failed
from rigl_nb.runs.cluster import Pool
from rigl_nb.runs.store import write
from rigl_nb.runs.terminal import say
from rigl_nb.runs.turns import Stop
from rigl_nb.runs.workers import Outcome
from rigl_nb.spec import RunSpec

START = 5.0  # seconds that a cluster takes to start, and to end
FETCH = 10.0  # seconds until a result that does not arrive is waited for again
FAREWELL = 20.0  # seconds, and a few iterations, that runs have to leave their checkpoints where no deadline is nearer


def on_cluster(todo: list[RunSpec], setting: Setting, pool: Pool, stop: Stop, hear: Notify) -> None:
    """Train the runs, those that another process holds included, in the order of the list; leave when it is due."""
    batch = Batch(todo, setting, pool, hear)
    try:
        if stop.due(0, START):
            return
        batch.connect()
        while batch.open and not stop.due(1):
            batch.submit()
            batch.listen(turns.LOOK_AGAIN, stop)
            if batch.lost:
                if not pool.reconnect(lambda: stop.due(1)):
                    break
                batch.connect()
    finally:
        batch.leave(stop)


class Batch:
    """The runs that have not ended, by id, in the order of training."""

    def __init__(self, todo: list[RunSpec], setting: Setting, pool: Pool, hear: Notify):
        self.open = {spec.run_id: spec for spec in todo}
        self.order = {run_id: number for number, run_id in enumerate(self.open)}
        self.again: dict[str, float] = {}  # what is to be submitted, and not before when
        self.futures, self.begun = {}, set()
        self.setting, self.pool, self.hear = setting, pool, hear
        self.client, self.inbox = None, queue.SimpleQueue()

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone, and with it all that was submitted."""
        return self.client is not None and self.client.status != "running"

    def connect(self) -> None:
        """Listen to the pool's scheduler, which knows nothing of this batch yet."""
        self.client, self.futures = self.pool.client, {}
        self.again = dict.fromkeys(self.open, -math.inf)
        self.client.subscribe_topic(workers.TOPIC, lambda event: self.inbox.put(event[1]))
        self._look_around()

    def submit(self) -> None:
        """Submit what is due, parents before children."""
        now = time.monotonic()
        for run_id in [run_id for run_id in self.again if self.again[run_id] <= now]:
            del self.again[run_id]
            spec = self.open[run_id]
            future = self.client.submit(
                workers.work, spec, self.setting, self._parent(spec), key=run_id, priority=-self.order[run_id]
            )
            self.futures[run_id] = future
            future.add_done_callback(self.inbox.put)

    def _look_around(self) -> None:
        """Say which workers do not share the store, and which see late what is written; later ones look alone."""
        if not self.setting.mark:
            return
        root = self.setting.store.root
        answers = _answers(self.client, self.setting)
        count, apart, late = len(answers), answers.count("apart"), answers.count("late")
        if apart:
            how = "records come back through dask, checkpoints stay there"
            say(f"{apart} of {count} workers do not share {root}: {how}")
        if late:
            how = "a lost worker's run may begin again. Mount the folder without caches (NFS: noac)"
            say(f"{late} of {count} workers share {root}, but what is written there is not seen at once: {how}")

    def _parent(self, spec: RunSpec):
        """What the run starts from: the future of a run of this batch, or what a finished one left."""
        if not spec.parent:
            return None
        if future := self.futures.get(spec.parent.run_id):
            return future
        for store in (self.setting.store, *self.setting.published):
            if store.finished(spec.parent):
                return Outcome(Event(spec.parent, "done"), store.files(spec.parent) if self.setting.mark else {})
        return Outcome(Event(spec.parent, "failed"), {})

    def listen(self, seconds: float, stop: Stop) -> None:
        """Take what arrives, and wait for the first message at most so long."""
        with suppress(queue.Empty):
            message = self.inbox.get(timeout=seconds)
            while True:
                self._take(message, stop)
                message = self.inbox.get_nowait()

    def _take(self, message, stop: Stop) -> None:
        if isinstance(message, dict):
            stop.slowest = max(stop.slowest, message["slowest"])
            if message["kind"] == "progress" and message["run"] in self.futures:
                self._progress(message)
        elif self.futures.get(message.key) is message:
            self._end(message)

    def _progress(self, message: dict) -> None:
        self.begun.add(message["run"])
        spec = self.open[message["run"]]
        self.hear(Event(spec, "progress", message["step"], message["text"], message["speed"]))

    def _end(self, future) -> None:
        """Take the end of a run: a result, a reason, or nothing where the scheduler or a worker was lost."""
        from distributed import CancelledError, KilledWorker

        spec = self.open[future.key]
        try:
            outcome = future.result(timeout=FETCH)
        except TimeoutError:  # its worker died with the result: it is made again
            future.add_done_callback(self.inbox.put)
            return
        except CancelledError:
            outcome = Outcome(Event(spec, "left"), {})
        except KilledWorker as error:
            reason = f"{error.allowed_failures + 1} workers died with it, the last one at {error.last_worker.address}"
            outcome = Outcome(failed(spec, self.setting.store, reason), {})
        del self.futures[spec.run_id]
        self.begun.discard(spec.run_id)
        event = self._kept(outcome)
        if event.kind in ("done", "failed"):
            del self.open[spec.run_id]
        else:
            self.again[spec.run_id] = time.monotonic() + turns.LOOK_AGAIN
        if event.kind != "left":
            self.hear(event)

    def _kept(self, outcome: Outcome) -> Event:
        """The event, once the client's store holds what the run left."""
        try:
            self.setting.store.keep(outcome.event.spec, outcome.files)
        except OSError as error:
            return failed(outcome.event.spec, self.setting.store, f"{type(error).__name__}: {error}")
        return outcome.event

    def leave(self, stop: Stop) -> None:
        """Give up what has not ended; wait until those that were begun have left their checkpoints."""
        for future in self.futures.values():
            future.release()
        self.futures = {}
        limit = min(time.monotonic() + FAREWELL + 3 * stop.slowest, stop.deadline)
        ends = {}
        while (waited := self.begun - set(ends)) and not self.lost and time.monotonic() < limit:
            with suppress(queue.Empty):
                message = self.inbox.get(timeout=turns.LOOK_AGAIN / 4)
                if isinstance(message, dict) and message["kind"] != "progress" and message["run"] in waited:
                    ends[message["run"]] = message
        for run_id, spec in self.open.items():
            self.hear(self._last(spec, ends.get(run_id)))

    def _last(self, spec: RunSpec, message: dict | None) -> Event:
        if spec.run_id not in self.begun:
            return turns.not_begun(spec)
        if not message:
            return Event(spec, "left", text="its worker did not say what it left")
        if message["kind"] == "done" and not self.setting.store.finished(spec):
            return Event(spec, "left", text="its record stays on its machine")
        return Event(spec, message["kind"], message["step"], message["text"])


def _answers(client, setting: Setting) -> list[str]:
    """How each worker shares the client's store: "shared", "late" (what one writes the other sees later), "apart"."""
    question = Path(setting.store.root) / f"{workers.TRIAL}{uuid.uuid4().hex}"
    try:
        write(question, question.name)
        answers = client.run(workers.answer, setting, question).values()
        return ["apart" if path is None else "shared" if _says(path, question.name) else "late" for path in answers]
    finally:
        for path in question.parent.glob(f"{question.name}*"):
            path.unlink(missing_ok=True)


def _says(path: Path, words: str) -> bool:
    with suppress(OSError):
        return path.read_text() == words
    return False
