"""All runs that have a record: as a table of configurations, and chosen by menus for the training plots."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev

import ipywidgets
import pandas as pd

from rigl_nb import paths
from rigl_nb.experiments.profiles import PROFILES, name_of
from rigl_nb.methods import METHODS
from rigl_nb.report.figures import widgets
from rigl_nb.report.figures.training import names, training_plots
from rigl_nb.runs.record import Record
from rigl_nb.runs.store import Store
from rigl_nb.runs.terminal import count
from rigl_nb.spec import RunSpec

FACETS: Mapping[str, Callable[[RunSpec], object]] = {  # the menus, and what a run has in each
    "profile": name_of,
    "data": lambda spec: spec.data,
    "method": lambda spec: spec.method,
    "init": lambda spec: spec.init or "none",
    "density": lambda spec: spec.density,
    "length": lambda spec: f"{spec.multiplier}×",
}
COLUMNS = (  # of the table of configurations
    *("profile", "network", "configuration", "n", "test accuracy", "FLOPs (train, test)", "seconds", "commit"),
    "hardware",
)
NO_BREAK = "\N{NO-BREAK SPACE}"
FIRST = {
    "method": ("Dense", "Static", "SET", "RigL"),
    "init": ("none", "Random"),
    "density": (0.1, 1.0),
    "length": ("1×",),
}


def records(local: bool = False) -> list[Record]:
    """All published records, and, where `local`, what only this machine has; by profile and method."""
    stores = [Store(paths.results()), *([Store(paths.runs())] if local else [])]
    found = {record.spec.run_id: record for store in reversed(stores) for record in store.records()}
    order, methods = [*reversed(PROFILES), "other"], list(METHODS)
    place = lambda spec: (order.index(name_of(spec)), methods.index(spec.method), spec.init or "", spec.density)  # noqa: E731
    return sorted(found.values(), key=lambda record: (*place(record.spec), record.spec.run_id))


def configurations(found: Sequence[Record]) -> pd.DataFrame:
    """A row for every configuration: how many runs, their accuracy or bits, cost, time, and where they come from."""
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(record.spec.config_id, []).append(record)
    specs = [runs[0].spec for runs in groups.values()]
    networks = {(name_of(spec), spec.data, spec.model) for spec in specs}  # columns of their own: names need not say it
    called = {}
    for network in networks:
        called |= names(spec for spec in specs if (name_of(spec), spec.data, spec.model) == network)
    rows = []
    for config, runs in groups.items():
        spec = runs[0].spec
        commits = sorted({(run.provenance["commit"] or "unknown")[:7] for run in runs})
        rows.append(
            {
                "profile": name_of(spec),
                "network": f"{spec.data}, {spec.model}",
                "configuration": called[config],
                "n": len(runs),
                "test accuracy": _score(runs),
                "FLOPs (train, test)": _shares(runs),
                "seconds": f"{mean(run.seconds for run in runs):,.0f}",
                "commit": ", ".join(commits),
                "hardware": ", ".join(sorted({_machine(run.provenance["hardware"]) for run in runs})),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _score(runs: Sequence[Record]) -> str:
    """Mean and std of the accuracy; of text, of the bits per character."""
    bits = [run.test_bits for run in runs if run.test_bits is not None]
    values, digits, unit = (bits, 2, " bits/char") if bits else ([run.test_accuracy for run in runs], 1, "")
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}{unit}"


def _shares(runs: Sequence[Record]) -> str:
    train, test = (mean(getattr(run, name) for run in runs) for name in ("train_flops", "test_flops"))
    return f"{train:.3f},{NO_BREAK}{test:.3f}"


def _machine(hardware: str) -> str:
    """A processor's name without marks and common words: "Intel Xeon, 2 cores"."""
    return re.sub(r"\(R\)|\(TM\)| CPU| Processor", "", hardware)


def by_method(found: Sequence[Record], interactive: bool = False):
    """Step through the methods: every configuration and seed of the profile that has most runs, a picture each."""
    if not found:
        return training_plots([])
    fullest = Counter(name_of(record.spec) for record in found).most_common(1)[0][0]
    of_method: dict[str, list[Record]] = {}
    for record in found:
        if name_of(record.spec) == fullest:
            of_method.setdefault(record.spec.method, []).append(record)
    labels = [f"{method}, profile {fullest}: {count(len(runs), 'run')}" for method, runs in of_method.items()]
    return widgets.stepper(list(of_method.values()), training_plots, interactive, labels)


def chooser(found: Sequence[Record]) -> ipywidgets.VBox:
    """Menus for what the runs are, several values each, and the training plots of the runs that have all of them.

    A menu without a choice takes every value.
    """
    specs = [record.spec for record in found]
    options = {name: list(dict.fromkeys(value(spec) for spec in specs)) for name, value in FACETS.items()}
    first = FIRST | {"profile": [name for name, _ in Counter(map(name_of, specs)).most_common(1)]}
    menus = {
        name: _menu(sorted(values) if name == "density" else values, first.get(name, ()))
        for name, values in options.items()
    }
    words, picture = ipywidgets.HTML(), ipywidgets.HTML()

    def redraw(_change=None):
        chosen = [run for run in found if all(not m.value or FACETS[k](run.spec) in m.value for k, m in menus.items())]
        configs = len({run.spec.config_id for run in chosen})
        words.value = (
            f"{count(len(chosen), 'run')} of {count(configs, 'configuration')}"
            if chosen
            else "No run has all of these values."
        )
        picture.value = widgets.markup(training_plots(chosen), f"training plots of {words.value}") if chosen else ""

    for menu in menus.values():
        menu.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([ipywidgets.HBox([_titled(name, menu) for name, menu in menus.items()]), words, picture])


def _menu(values: Sequence, first: Sequence) -> ipywidgets.SelectMultiple:
    shown = [(f"{value:g}" if isinstance(value, float) else value, value) for value in values]
    known = tuple(value for value in first if value in values)
    layout = ipywidgets.Layout(width="7.5em")
    return ipywidgets.SelectMultiple(options=shown, value=known, rows=min(8, max(3, len(shown))), layout=layout)


def _titled(name: str, menu: ipywidgets.SelectMultiple) -> ipywidgets.VBox:
    return ipywidgets.VBox([ipywidgets.Label(name), menu])
