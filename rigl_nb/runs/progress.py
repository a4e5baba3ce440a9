"""Shows long work and the time left: live bars where somebody watches, lines now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.cost import duration, work
from rigl_nb.runs.terminal import count, fold, say
from rigl_nb.spec import RunSpec

LINE_EVERY, SPARSER = 20.0, 0.02  # seconds between lines at first; later this share of the time so far
LAYOUT = "{percentage:3.0f}% |{bar:10}| {desc}"
PIECES = "{n_fmt} of {total_fmt} |{bar:10}| {desc}"


class Standing:
    """What the events of a batch add up to. `underway`: the latest event of every run that is being trained."""

    def __init__(self, todo: Sequence[RunSpec]):
        self.runs, self.finished = len(todo), 0
        self.underway: dict[str, Event] = {}
        self._total = sum(work(spec) for spec in todo)
        self._done = dict.fromkeys((spec.run_id for spec in todo), 0.0)
        self._before = {}  # what a checkpoint holds was done at another time: it says nothing about the speed
        self._start = None  # when the first iterations were done: what comes before takes its own time

    def hear(self, event: Event) -> None:
        """Count an event."""
        run_id, amount = event.spec.run_id, work(event.spec) * reached(event)
        if event.kind == "progress":
            self._before.setdefault(run_id, amount)
            self._start = self._start or time.monotonic()
            self.underway[run_id] = event
        else:
            self.underway.pop(run_id, None)
        self.finished += event.kind in ("done", "failed")
        self._done[run_id] = max(amount, self._done[run_id])

    @property
    def share(self) -> float:
        """The part of the batch's work that is done."""
        return sum(self._done.values()) / self._total

    @property
    def left(self) -> str:
        """The time that the rest takes at this batch's own speed, "?" at first."""
        now = sum(self._done.values()) - sum(self._before.values())
        if now <= 0 or self._start is None:
            return "?"
        return duration((time.monotonic() - self._start) * (1 - self.share) * self._total / now)


def reached(event: Event) -> float:
    """The part of its run that an event says is done; nothing more comes of a failed one."""
    return 1.0 if event.kind == "failed" else event.step / event.spec.total_steps


def name(spec: RunSpec) -> str:
    """What a line of progress calls a run."""
    return f"{spec.label} at {spec.density:g}, seed {spec.seed}"


@contextmanager
def display(todo: list[RunSpec], live: bool | None = None) -> Iterator[Notify]:
    """A listener for `engine.run`; `live` defaults to whether standard error is a terminal."""
    live = sys.stderr.isatty() if live is None else live
    start = shown = time.monotonic()
    standing, bars = Standing(todo), {}  # bars: of the runs under way
    with _bar(100, LAYOUT, disable=not live or not todo) as overall:

        def hear(event: Event) -> None:
            nonlocal shown
            standing.hear(event)
            run_id, text, moment = event.spec.run_id, f"{name(event.spec)}: {event.text}", time.monotonic()
            if event.kind == "progress" and live:
                if run_id not in bars:
                    bars[run_id] = _bar(100, LAYOUT, leave=False)
                _move(bars[run_id], reached(event), text)
            elif run_id in bars:
                bars.pop(run_id).close()
            if event.kind in ("done", "failed"):
                overall.write(fold(f"[{standing.finished}/{standing.runs}] {event.kind}: {text}"), file=sys.stderr)
            elif not live and moment - shown > max(LINE_EVERY, SPARSER * (moment - start)):
                shown = moment
                head = f"{standing.share:4.0%}, {standing.left} left; "
                runs = (f"{name(latest.spec)}: {latest.text}" for latest in standing.underway.values())
                say(head + f"\n{'':{len(head)}}".join(runs))
            _move(
                overall, standing.share, f"{standing.finished} of {count(standing.runs, 'run')}, {standing.left} left"
            )

        try:
            yield hear
        finally:
            for bar in bars.values():
                bar.close()


@contextmanager
def pieces(total: int, live: bool | None = None) -> Iterator[Callable[[str], None]]:
    """A listener for pieces of work of about one size: called with a text as each of them ends."""
    live = sys.stderr.isatty() if live is None else live
    start = time.monotonic()
    with _bar(total, PIECES, disable=not live) as bar:
        ended = 0

        def hear(text: str) -> None:
            nonlocal ended
            ended += 1
            if ended < total:
                text += f"; about {duration((time.monotonic() - start) / ended * (total - ended))} left"
            if live:
                bar.n = ended
                bar.set_description_str(text)
            else:
                say(f"[{ended}/{total}] {text}")

        yield hear


def _bar(total: int, layout: str, **options) -> tqdm:
    """A bar as wide as the terminal; one that does not know its size shows tqdm's own bars as nothing."""
    size = shutil.get_terminal_size()
    return tqdm(total=total, bar_format=layout, ncols=size.columns, nrows=size.lines, **options)


def _move(bar: tqdm, share: float, text: str) -> None:
    bar.n = round(100 * share, 1)
    bar.set_description_str(text)
