"""Shows a batch of runs at work: live bars where somebody watches, lines now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.cost import work
from rigl_nb.spec import RunSpec

LINE_EVERY = 20.0  # seconds
LAYOUT = "{l_bar}{bar:20}|{postfix}"


@contextmanager
def display(todo: list[RunSpec], live: bool | None = None) -> Iterator[Notify]:
    """A listener for `engine.run`; `live` defaults to whether standard error is a terminal."""
    live = sys.stderr.isatty() if live is None else live
    total = sum(work(spec) for spec in todo)
    done = dict.fromkeys((spec.run_id for spec in todo), 0.0)
    before = {}  # what a checkpoint holds was done at another time: it says nothing about the speed
    finished, shown, start = 0, time.monotonic(), time.monotonic()
    bars, latest = {}, {}  # of the runs under way
    with tqdm(total=100, disable=not live or not todo, bar_format=LAYOUT) as overall:

        def hear(event: Event) -> None:
            nonlocal finished, shown
            run_id, name = event.spec.run_id, _name(event.spec)
            amount = work(event.spec) * (1 if event.kind == "failed" else event.step / event.spec.total_steps)
            if event.kind == "progress":
                before.setdefault(run_id, amount)
                latest[run_id] = f"{name}: {event.text}"
                if live:
                    if run_id not in bars:
                        bars[run_id] = tqdm(total=100, leave=False, bar_format=LAYOUT)
                    _move(bars[run_id], event.step / event.spec.total_steps, latest[run_id])
            else:
                latest.pop(run_id, None)
                if run_id in bars:
                    bars.pop(run_id).close()
            done[run_id] = max(amount, done[run_id])
            share, now = sum(done.values()) / total, sum(done.values()) - sum(before.values())
            left = _clock((time.monotonic() - start) * (1 - share) * total / now) if now > 0 else "?"
            if event.kind in ("done", "failed"):
                finished += 1
                overall.write(f"[{finished}/{len(todo)}] {event.kind}: {name}: {event.text}", file=sys.stderr)
            elif not live and time.monotonic() - shown > LINE_EVERY:
                shown = time.monotonic()
                head = f"{share:4.0%}, {left} left; "
                print(head + f"\n{'':{len(head)}}".join(latest.values()), file=sys.stderr, flush=True)
            _move(overall, share, f"{finished}/{len(todo)} runs, {left} left")

        try:
            yield hear
        finally:
            for bar in bars.values():
                bar.close()


def _name(spec: RunSpec) -> str:
    return f"{spec.label} at {spec.density:g}, seed {spec.seed}"


def _move(bar: tqdm, share: float, text: str) -> None:
    bar.n = round(100 * share, 1)
    bar.set_postfix_str(text)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
