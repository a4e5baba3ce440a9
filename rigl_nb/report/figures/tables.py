"""The report's tables, from runs (`Store.frame`, one row each) and printed values. No files."""

import functools
import html
import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from rigl_nb.claims.claim import PUBLISHED_SEEDS, Cell
from rigl_nb.experiments.profiles import PAPER_EPOCHS
from rigl_nb.report.figures.significance import LEVEL, RULE, leads, welch

KEY = ["method", "init", "multiplier", "density"]
NONE = "–"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_ACCURACY, _FLOPS = "test accuracy", "FLOPs (train, test)"

# Weights, lines and alignment only: the colours are the page's, so a table reads in light and in dark.
_LAYOUT = [
    {"selector": "th, td", "props": "text-align: left; vertical-align: top; padding: 0.2em 0.7em;"},
    {"selector": "caption", "props": "text-align: left; caption-side: top; padding: 0.3em 0;"},
    {"selector": "tbody th", "props": "font-weight: normal;"},
]
_RULE, _BOLD = "border-top: 1px solid;", "font-weight: bold;"


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean, std (ddof 1, points), n and collapsed runs of every cell of `runs`, in order of appearance.

    Collapsed runs are part of the mean. A cell without runs has n = 0 and a mean of NaN. `origin` names every run,
    a line each, with its accuracy.
    """
    present = runs["present"].astype(bool)
    values = runs[["test_accuracy", "train_flops", "test_flops"]].astype(float).where(present)
    origin = runs["test_accuracy"].map("{:.2f}: ".format) + runs["run_id"]
    values = values.assign(present=present, collapsed=runs["collapsed"].eq(True), origin=origin.where(present))
    groups = runs[KEY].join(values).groupby(KEY, sort=False, dropna=False)
    table = groups.agg(
        mean=("test_accuracy", "mean"),
        std=("test_accuracy", "std"),
        n=("present", "sum"),
        collapsed=("collapsed", "sum"),
        train_flops=("train_flops", "mean"),
        test_flops=("test_flops", "mean"),
        origin=("origin", lambda lines: "\n".join(lines.dropna())),
    )
    return table.reset_index()


def comparison(
    published: pd.DataFrame, evidence: Mapping[str, pd.DataFrame], caption: str = "", uuid: str = "comparison"
) -> Styler:
    """Our runs beside the printed values of a results table (`published`: `table2_cifar10`).

    `evidence` maps a profile's name to its runs; a profile without any run gets no column. One block per
    density, rows in the printed order and grouped by cost; in bold what leads its group and column (`leads`).
    `paper` runs get their difference to the printed mean, with ▲ or ▼ where seeds alone do not explain it.
    Our FLOPs are those of the profile that fills most cells. Pointing at a mean of ours shows its runs. `uuid` names
    the table in the page's HTML.
    """
    order = published.sort_values(["density", "group"], kind="stable")
    sources = {"published": _printed(order)}
    sources |= {name: _measured(runs) for name, runs in evidence.items() if runs["present"].any()}
    cells = list(sources["published"])
    index = pd.MultiIndex.from_arrays(
        [[f"{cell.density:g}" for cell in cells], order["group"].astype(str), [cell.name for cell in cells]],
        names=["density", "group", "method"],
    )
    columns = {(_ACCURACY, name): [_accuracy(rows.get(c)) for c in cells] for name, rows in sources.items()}
    if "paper" in sources:
        both = ((sources["paper"].get(cell), sources["published"].get(cell)) for cell in cells)
        columns["difference", "paper − published"] = [_difference(*pair) for pair in both]
    columns[_FLOPS, "published"] = [_flops(sources["published"].get(cell), 2) for cell in cells]
    filled = {name: sum(row["n"] > 0 for row in rows.values()) for name, rows in sources.items()} | {"published": 0}
    if any(filled.values()):
        fullest = max(filled, key=filled.get)
        columns[_FLOPS, fullest] = [_flops(sources[fullest].get(cell), 3) for cell in cells]
    frame = pd.DataFrame(columns, index=index)
    styles = pd.DataFrame("", index=index, columns=frame.columns)
    for name, rows in sources.items():
        column = styles.columns.get_loc((_ACCURACY, name))
        for places in order.reset_index().groupby(["density", "group"]).indices.values():
            best = leads([rows.get(cells[place]) for place in places])
            styles.iloc[places[best], column] = _BOLD
    rules = np.where(frame.index.to_frame()[["density", "group"]].duplicated(), "", _RULE)
    styles = styles.add(pd.Series(rules, index=index), axis=0)
    table = _styled(frame, f"{caption} {RULE}".strip(), uuid).apply(lambda _: styles, axis=None)
    origins = {(_ACCURACY, name): [rows.get(c, {}).get("origin", "") for c in cells] for name, rows in sources.items()}
    table = table.set_tooltips(pd.DataFrame(origins, index=index), as_title_attribute=True)
    return table.apply_index(lambda _: rules, axis="index")


def live(runs: pd.DataFrame, published: pd.DataFrame | None = None, uuid: str = "live") -> Styler:
    """Table "on this machine": the runs of one profile, named by data, model and length. No verdict.

    `published`: printed values of the same data and network.
    """
    ours = _measured(runs)
    columns = {
        "method": [cell.name for cell in ours],
        "density": [f"{cell.density:g}" for cell in ours],
        _ACCURACY: [_accuracy(row) for row in ours.values()],
        _FLOPS: [_flops(row, 3) for row in ours.values()],
    }
    if published is not None:
        printed = _printed(published)
        columns[f"published, {PAPER_EPOCHS} epochs"] = [_accuracy(printed.get(cell)) for cell in ours]
    data, model, epochs = ("/".join(map(str, runs[name].unique())) for name in ("data", "model", "epochs"))
    caption = f"On this machine: {data}, {model}, {epochs} epochs. These runs judge no claim."
    return _styled(pd.DataFrame(columns), caption, uuid).hide(axis="index")


def plain(
    frame: pd.DataFrame,
    uuid: str,
    formats: Mapping[str, str | Callable[[object], str]] | None = None,
    caption: str = "",
) -> Styler:
    """A table without its index, in the look of the others; `formats` by column, "–" where a value is missing."""
    words = dict.fromkeys(frame.columns.difference(frame.select_dtypes("number").columns), "{}")
    forms = {name: functools.partial(_show, form) for name, form in (words | dict(formats or {})).items()}
    styler = frame.style.set_uuid(uuid).set_table_styles(_LAYOUT).hide(axis="index").format(forms, na_rep=NONE)
    return styler.set_caption(caption) if caption else styler


def _show(form: str | Callable[[object], str], value: object) -> str:
    return _typeset(form(value) if callable(form) else form.format(value))


def _cell(row: Mapping) -> Cell:
    init = None if pd.isna(row["init"]) else row["init"]
    return Cell(row["method"], init, float(row["density"]), int(row["multiplier"]))


def _measured(runs: pd.DataFrame) -> dict[Cell, dict]:
    return {_cell(row): row for row in summary(runs).to_dict("records")}


def _printed(published: pd.DataFrame) -> dict[Cell, dict]:
    """Rows of a printed table in the form of `summary`."""
    names = {"accuracy_mean": "mean", "accuracy_std": "std"}
    rows = published.rename(columns=names).assign(collapsed=0, printed=True)
    rows["n"] = rows["mean"].notna() * PUBLISHED_SEEDS  # a row without a value is one that only we have
    return {_cell(row): row for row in rows.to_dict("records")}


def _mean(row: Mapping | None) -> str:
    """Format the mean, "" without runs: one decimal, two where the report prints two."""
    if row is None or not row["n"]:
        return ""
    two = "printed" in row and round(row["mean"], 1) != row["mean"]
    return f"{row['mean']:.{2 if two else 1}f}"


def _accuracy(row: Mapping | None) -> str:
    """Format "91.7 ± 0.18 (n = 3)"; a single run has no spread."""
    if not _mean(row):
        return NONE
    spread = "" if np.isnan(row["std"]) else f" ± {row['std']:.2f}"
    return f"{_mean(row)}{spread} (n = {_count(row['n'], row['collapsed'])})"


def _difference(ours: Mapping | None, printed: Mapping | None) -> str:
    """Format "+0.12"; a triangle where Welch's test rejects equal means."""
    if not _mean(ours) or not _mean(printed):
        return NONE
    difference = ours["mean"] - printed["mean"]
    sign = ("▲ " if difference > 0 else "▼ ") if welch(ours, printed) < LEVEL else ""
    return f"{sign}{difference:+.2f}".replace("-", "−")


def _count(n: int, collapsed: int) -> str:
    return f"{n}, {collapsed} collapsed" if collapsed else str(n)


def _flops(row: Mapping | None, digits: int) -> str:
    if row is None or np.isnan(row["train_flops"]):
        return NONE
    return f"{row['train_flops']:.{digits}f}×, {row['test_flops']:.{digits}f}×"


def _typeset(text: str) -> str:
    """A cell without line breaks inside "91.7 ± 0.18" and "n = 3", with minus signs before its numbers."""
    for unit in (" ± ", "n = "):
        text = text.replace(unit, unit.replace(" ", _NO_BREAK))
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "−", text)


def _text(value: str) -> str:
    return html.escape(_typeset(value), quote=False)


def _styled(frame: pd.DataFrame, caption: str, uuid: str) -> Styler:
    styler = frame.style.set_uuid(uuid).set_table_styles(_LAYOUT).format(_text)
    return styler.set_caption(caption) if caption else styler
