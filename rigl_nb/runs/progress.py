"""Shows a batch of runs at work: a live bar where somebody watches, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.cost import work
from rigl_nb.spec import RunSpec

LINE_EVERY = 20.0  # seconds


@contextmanager
def display(todo: list[RunSpec], live: bool | None = None) -> Iterator[Notify]:
    """A listener for `engine.run`; `live` defaults to whether standard error is a terminal."""
    live = sys.stderr.isatty() if live is None else live
    total = sum(work(spec) for spec in todo)
    done = dict.fromkeys((spec.run_id for spec in todo), 0.0)
    finished, shown, start = 0, time.monotonic(), time.monotonic()
    with tqdm(total=100, disable=not live or not todo, bar_format="{l_bar}{bar}|{postfix}") as bar:

        def hear(event: Event) -> None:
            nonlocal finished, shown
            step = event.spec.total_steps if event.kind == "failed" else event.step
            done[event.spec.run_id] = work(event.spec) * step / event.spec.total_steps
            share = sum(done.values()) / total if total else 1.0
            left = _clock((time.monotonic() - start) * (1 / share - 1)) if share > 0 else "?"
            name = f"{event.spec.label} at {event.spec.density:g}, seed {event.spec.seed}"
            if event.kind in ("done", "failed"):
                finished += 1
                bar.write(f"[{finished}/{len(todo)}] {event.kind}: {name}: {event.text}", file=sys.stderr)
            elif not live and time.monotonic() - shown > LINE_EVERY:
                shown = time.monotonic()
                print(f"{share:4.0%}, {left} left; {name}: {event.text}", file=sys.stderr, flush=True)
            bar.n = round(100 * share, 1)
            bar.set_postfix_str(f"{finished}/{len(todo)} runs, {left} left, {name}: {event.text}")

        yield hear


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
