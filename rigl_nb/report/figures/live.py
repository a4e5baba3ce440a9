"""A training at work in JupyterLab: what is done, what is under way, and a button that stops it and loses nothing."""

import html
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ipywidgets
from IPython.display import display

from rigl_nb.runs.attempt import Event, Notify
from rigl_nb.runs.progress import Standing, name, reached
from rigl_nb.spec import RunSpec

ENDS = 6  # the latest ends of runs that stay in sight
WORDS = {"done": "✓", "failed": "✗ failed:", "left": "left:", "busy": "waiting:"}


class Panel:
    """Bars of a batch and of its runs under way, with a Stop button; shown when there is something to train.

    A kernel that handles messages of widgets beside a running cell (subshells, as in JupyterLab) hears the button at
    once. Give `watch` to `engine.campaign` as `show`, and `asked` as `asked`. It serves one call of the cell.
    """

    def __init__(self):
        self._stop = threading.Event()
        self.button = ipywidgets.Button(description="Stop", icon="stop", tooltip="Leave checkpoints and end the cell")
        self.button.on_click(self._press)
        self.overall, self.words = _bar(), ipywidgets.HTML()
        self.runs, self.ends = ipywidgets.VBox(), ipywidgets.HTML()
        head = ipywidgets.HBox([self.button, self.overall, self.words])
        self.view = ipywidgets.VBox([head, self.runs, self.ends])
        self._shown, self._ended = False, deque(maxlen=ENDS)

    def asked(self) -> bool:
        """Whether the button was pressed."""
        return self._stop.is_set()

    @contextmanager
    def watch(self, todo: Sequence[RunSpec]) -> Iterator[Notify]:
        """A listener for one batch; those of a search follow each other in the same place."""
        if todo and not self._shown:
            self._shown = True
            display(self.view)
        self._label(self.asked(), "stopping" if self.asked() else "Stop")
        standing, bars = Standing(todo), {}

        def hear(event: Event) -> None:
            standing.hear(event)
            if event.kind in WORDS and (event.kind, event.text) != ("left", "not begun"):
                self._ended.append(f"{WORDS[event.kind]} {name(event.spec)}: {event.text}")
                self.ends.value = "<br>".join(map(html.escape, self._ended))
            self._show_runs(standing, bars)
            self.overall.value = standing.share
            self.words.value = f"{standing.finished} of {standing.runs} runs, {standing.left} left"

        try:
            yield hear
        finally:
            self.runs.children = ()
            self._label(True, "stopped" if self.asked() else "ended")

    def _press(self, _button: ipywidgets.Button) -> None:
        self._stop.set()
        self._label(True, "stopping")

    def _label(self, disabled: bool, words: str) -> None:
        self.button.disabled, self.button.description = disabled, words
        # ipykernel hears a widget in the shell that wrote to it last: this one, which the cell keeps busy. Without a
        # last writer it goes by the message, and JupyterLab sends those of widgets to a subshell.
        vars(self.button.comm).pop("_reply_subshell_id", None)

    def _show_runs(self, standing: Standing, bars: dict[str, ipywidgets.HBox]) -> None:
        """A row for every run under way, in a fixed order; rows of others go."""
        for run_id, event in standing.underway.items():
            row = bars.setdefault(run_id, ipywidgets.HBox([_bar(), ipywidgets.HTML()]))
            bar, words = row.children
            bar.value, words.value = reached(event), html.escape(f"{name(event.spec)}: {event.text}")
        rows = tuple(row for run_id, row in bars.items() if run_id in standing.underway)
        if rows != self.runs.children:
            self.runs.children = rows


def _bar() -> ipywidgets.FloatProgress:
    return ipywidgets.FloatProgress(min=0.0, max=1.0, layout=ipywidgets.Layout(width="180px"))
