"""Shows long work and the time left: live bars where somebody watches, lines now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.cost import duration, work
from rigl_nb.runs.terminal import count, fold, say
from rigl_nb.spec import RunSpec

LINE_EVERY, SPARSER = 20.0, 0.02  # seconds between lines at first; later this share of the time so far
LAYOUT = "{percentage:3.0f}% |{bar:10}| {desc}"
PIECES = "{n_fmt} of {total_fmt} |{bar:10}| {desc}"


@contextmanager
def display(todo: list[RunSpec], live: bool | None = None) -> Iterator[Notify]:
    """A listener for `engine.run`; `live` defaults to whether standard error is a terminal."""
    live = sys.stderr.isatty() if live is None else live
    total = sum(work(spec) for spec in todo)
    done = dict.fromkeys((spec.run_id for spec in todo), 0.0)
    before = {}  # what a checkpoint holds was done at another time: it says nothing about the speed
    start = shown = time.monotonic()
    finished = 0
    bars, latest = {}, {}  # of the runs under way
    with _bar(100, LAYOUT, disable=not live or not todo) as overall:

        def hear(event: Event) -> None:
            nonlocal finished, shown
            run_id, name = event.spec.run_id, _name(event.spec)
            moment = time.monotonic()
            amount = work(event.spec) * (1 if event.kind == "failed" else event.step / event.spec.total_steps)
            if event.kind == "progress":
                before.setdefault(run_id, amount)
                latest[run_id] = f"{name}: {event.text}"
                if live:
                    if run_id not in bars:
                        bars[run_id] = _bar(100, LAYOUT, leave=False)
                    _move(bars[run_id], event.step / event.spec.total_steps, latest[run_id])
            else:
                latest.pop(run_id, None)
                if run_id in bars:
                    bars.pop(run_id).close()
            done[run_id] = max(amount, done[run_id])
            share, now = sum(done.values()) / total, sum(done.values()) - sum(before.values())
            left = duration((moment - start) * (1 - share) * total / now) if now > 0 else "?"
            if event.kind in ("done", "failed"):
                finished += 1
                line = f"[{finished}/{len(todo)}] {event.kind}: {name}: {event.text}"
                overall.write(fold(line), file=sys.stderr)
            elif not live and moment - shown > max(LINE_EVERY, SPARSER * (moment - start)):
                shown = moment
                head = f"{share:4.0%}, {left} left; "
                say(head + f"\n{'':{len(head)}}".join(latest.values()))
            _move(overall, share, f"{finished} of {count(len(todo), 'run')}, {left} left")

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


def _name(spec: RunSpec) -> str:
    return f"{spec.label} at {spec.density:g}, seed {spec.seed}"


def _bar(total: int, layout: str, **options) -> tqdm:
    """A bar as wide as the terminal; one that does not know its size shows tqdm's own bars as nothing."""
    size = shutil.get_terminal_size()
    return tqdm(total=total, bar_format=layout, ncols=size.columns, nrows=size.lines, **options)


def _move(bar: tqdm, share: float, text: str) -> None:
    bar.n = round(100 * share, 1)
    bar.set_description_str(text)
