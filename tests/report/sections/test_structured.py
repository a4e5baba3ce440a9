"""Section 13: what the benchmarks measured of structures, read from a file, and accuracy beside it."""

import json

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from rigl_nb.experiments import grids
from rigl_nb.report.sections import structured

STEP = "speed-up, training step, batch 128, 2 threads"
VALUES = {
    ("training step, batch 128, 2 threads", "wrn-10-1, dense, channels-last"): ([0.4], "fp32"),
    (STEP, "wrn-10-1, hidden channels, density 0.2"): ([1.9, 2.0, 2.1, 2.2], "21.6 % of the FLOPs"),
    (STEP, "wrn-10-1, all widths, density 0.2"): ([2.5], "20.0 % of the FLOPs"),
    (STEP, "wrn-10-1, all widths, density 0.25"): ([2.0], "28.0 % of the FLOPs"),
    ("speed-up, forward, batch 1, 1 thread", "wrn-10-1, all widths, density 0.2"): ([1.5], "20.0 % of the FLOPs"),
    ("speed-up", "wrn-10-1, hidden channels, density 0.1"): ([], "not measured: too low"),
    ("speed-up, training, batch 128, ΔT 39", "wrn-10-1, hidden channels, density 0.2"): ([1.5], "over the masked"),
    ("speed-up, forward, batch 1, 1 thread", "linear layer 96→48, CSR"): ([0.5], ""),
    ("speed-up, forward, batch 1, 1 thread", "linear layer 96→48, SparseLab"): ([], "not measured: not installed"),
    ("speed-up, forward, batch 8, 1 thread", "3×3 convolution 16→16 at 8×8, CSR"): ([0.25], ""),
}


def file(folder, date="2026-01-02", machine="A", values=None):
    measurements = [
        {"quantity": quantity, "subject": subject, "unit": "x", "values": numbers, "note": note, "n": len(numbers)}
        for (quantity, subject), (numbers, note) in (values or VALUES).items()
    ]
    part = {"date": date, "threads": 2, "commit": "0123456789", "measurements": measurements}
    parts = {"section-13": part, "structure": part | {"measurements": measurements[:1]}}
    (folder / f"{machine}.json").write_text(json.dumps({"hardware": machine, "parts": parts}))


@pytest.fixture
def measured(tmp_path):
    file(tmp_path)
    return structured.measured(tmp_path)


def test_the_newest_measurement_counts(tmp_path, measured):
    file(tmp_path, "2025-12-31", "B")
    (tmp_path / "C.json").write_text(json.dumps({"hardware": "C", "parts": {"masks": {}}}))
    assert structured.measured(tmp_path).machine == "A"
    file(tmp_path, "2026-01-03", "B")
    assert structured.about(structured.measured(tmp_path)).startswith("B, 2 threads")


def test_no_measurement_is_an_error_with_the_way_out(tmp_path):
    with pytest.raises(ValueError, match="python -m benchmarks --only section-13 structure"):
        structured.measured(tmp_path)


def test_the_published_times_have_every_form_that_the_notebook_shows():
    found = structured.measured()
    assert set(structured.shares(found)) == {
        *("Small-Dense at 0.2", "Small-Dense at 0.25"),
        *(f"channel {method} at 0.2" for method in ("RigL", "Static", "SET")),
    }
    assert len(structured.networks(found)) == 6 and len(structured.trainings(found)) == 2
    assert {"masked", "CSR", "BSR", "gather", "channels", "SparseLab"} == set(structured.layers(found)["form"])
    times = structured.shares(found)
    assert times["Small-Dense at 0.25"] <= times["channel RigL at 0.2"] < 1, "the rival of equal time takes no longer"


def test_networks_have_a_row_for_each_form_and_a_column_for_each_clock(measured):
    table = structured.networks(measured, "wrn-10-1").set_index("form")
    assert table.columns.tolist() == ["FLOPs", STEP.removeprefix("speed-up, "), "forward, batch 1, 1 thread"]
    assert table.iloc[0].tolist()[:2] == ["21.6\xa0%", "2.05×\xa0[1.98,\xa02.12]"]
    assert table.loc["all widths at 0.2", "forward, batch 1, 1 thread"] == "1.50×\xa0[1.50,\xa01.50]"


def test_layers_have_a_dash_where_a_form_was_not_measured(measured):
    table = structured.layers(measured).set_index("form")
    assert table.loc["SparseLab", "linear layer 96→48, batch 1"] == "–"
    assert table.loc["CSR", "3×3 convolution 16→16 at 8×8, batch 8"].startswith("0.25×")
    assert structured.trainings(measured)["compact over masked"].tolist() == ["1.50×\xa0[1.50,\xa01.50]"]


def test_the_sentence_holds_where_every_timing_is_a_gain(tmp_path, measured):
    """The step and the training of one network with fewer channels; then a third timing, half of which is no gain."""
    fact = structured.fact(measured)
    assert (fact.agree, fact.of, fact.word, fact.how) == (2, 2, "verified", "by the clock")
    mixed = {("speed-up, forward, batch 1, 1 thread", "wrn-10-1, hidden channels, density 0.2"): ([0.9, 1.1, 1.3], "")}
    file(tmp_path, values=VALUES | mixed)
    fact = structured.fact(structured.measured(tmp_path))
    assert (fact.agree, fact.of, fact.word) == (2, 3, "differs"), "the lower quarter of 0.9, 1.1, 1.3 is 1.0"


def runs(worth):
    """Return the section's quick runs, those of `worth`, by label, with records."""
    rows = []
    for spec in grids.specs("13", "quick"):
        name = f"{spec.label} at {spec.density:g}"
        row = {key: getattr(spec, key) for key in ("method", "init", "density", "multiplier", "data", "structure")}
        there = name in worth
        score = worth[name] + spec.seed if there else float("nan")
        rows.append(row | {"present": there, "test_accuracy": score, "test_flops": 0.5})
    return pd.DataFrame(rows)


def test_a_structure_that_only_masks_takes_the_dense_time(measured):
    worth = {
        "Dense at 1": 60.0,
        "Small-Dense at 0.25": 50.0,
        "channel RigL at 0.2": 52.0,
        "kernel RigL (ERK) at 0.2": 55.0,
    }
    rows = structured.accuracy(runs(worth), measured)
    found = {row.cell.label: row.time for row in rows.itertuples()}
    assert found == {
        "Dense at 1": 1.0,
        "kernel RigL (ERK) at 0.2": 1.0,
        "channel RigL at 0.2": pytest.approx(1 / 2.05),
        "Small-Dense at 0.25": pytest.approx(0.5),
    }
    assert rows["n"].tolist() == [5] * 4 and rows["mean"].tolist() == [62.0, 52.0, 54.0, 57.0]
    table = structured.table(rows)
    assert table["network"].tolist()[0] == "Dense at 1" and table["test accuracy"][0] == "62.00 ± 1.58 (n = 5)"
    assert table.set_index("network").loc["channel RigL at 0.2", "time of a training step"] == "0.49×"


def test_the_figure_shows_every_cell_and_joins_the_dense_ones(measured):
    worth = {"Dense at 1": 60.0, "Small-Dense at 0.2": 48.0, "Small-Dense at 0.25": 50.0, "channel RigL at 0.2": 52.0}
    figure = structured.picture(structured.accuracy(runs(worth), measured))
    assert isinstance(figure, Figure)
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == pytest.approx([0.4, 0.5, 1.0]) and line.get_ydata().tolist() == [50, 52, 62]
    assert len(figure.legends[0].get_texts()) == 4
    assert "nothing to draw" in structured.picture(structured.accuracy(runs({}), measured)).data


def test_empty_rows_and_columns_are_counted():
    mask = torch.tensor([[True, False, False], [False, False, False]])
    kernels = torch.zeros(2, 2, 3, 3, dtype=torch.bool)
    kernels[:, :, 1, 1] = True
    assert structured.dead({"a": mask, "b": kernels}) == (2, "1 of 4", "2 of 5")
