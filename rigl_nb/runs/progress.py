"""How far a batch of runs is; shown as live bars in a terminal, as lines now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.cost import work
from rigl_nb.spec import RunSpec

LINE_EVERY = 20.0  # seconds
LAYOUT = "{l_bar}{bar:20}|{postfix}"


class Tally:
    """What the events of a batch add up to. `underway`: the latest event of every run that is being trained."""

    def __init__(self, todo: Sequence[RunSpec]):
        self.runs, self.finished = len(todo), 0
        self.underway: dict[str, Event] = {}
        self._total = sum(work(spec) for spec in todo)
        self._done = dict.fromkeys((spec.run_id for spec in todo), 0.0)
        self._before = {}  # what a checkpoint holds was done at another time: it says nothing about the speed
        self._start = time.monotonic()

    def hear(self, event: Event) -> None:
        """Count an event."""
        run_id, amount = event.spec.run_id, work(event.spec) * reached(event)
        if event.kind == "progress":
            self._before.setdefault(run_id, amount)
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
        return _clock((time.monotonic() - self._start) * (1 - self.share) * self._total / now) if now > 0 else "?"


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
    shown, tally, bars = time.monotonic(), Tally(todo), {}  # bars: of the runs under way
    with tqdm(total=100, disable=not live or not todo, bar_format=LAYOUT) as overall:

        def hear(event: Event) -> None:
            nonlocal shown
            tally.hear(event)
            run_id, text = event.spec.run_id, f"{name(event.spec)}: {event.text}"
            if event.kind == "progress" and live:
                if run_id not in bars:
                    bars[run_id] = tqdm(total=100, leave=False, bar_format=LAYOUT)
                _move(bars[run_id], reached(event), text)
            elif run_id in bars:
                bars.pop(run_id).close()
            if event.kind in ("done", "failed"):
                overall.write(f"[{tally.finished}/{tally.runs}] {event.kind}: {text}", file=sys.stderr)
            elif not live and time.monotonic() - shown > LINE_EVERY:
                shown = time.monotonic()
                head = f"{tally.share:4.0%}, {tally.left} left; "
                runs = (f"{name(latest.spec)}: {latest.text}" for latest in tally.underway.values())
                print(head + f"\n{'':{len(head)}}".join(runs), file=sys.stderr, flush=True)
            _move(overall, tally.share, f"{tally.finished}/{tally.runs} runs, {tally.left} left")

        try:
            yield hear
        finally:
            for bar in bars.values():
                bar.close()


def _move(bar: tqdm, share: float, text: str) -> None:
    bar.n = round(100 * share, 1)
    bar.set_postfix_str(text)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
