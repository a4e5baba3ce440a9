"""Figures of runs: what is drawn, read from the artists."""

import math

import numpy as np
import pandas as pd
import pytest
from frames import printed, runs
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from rigl_nb.claims.claim import Cell
from rigl_nb.report.figures import plots
from rigl_nb.report.figures.style import METHOD_STYLE
from rigl_nb.schedules import drop_fraction

CELLS = {
    Cell("Dense"): [93.0, 93.4],
    Cell("Small-Dense", None, 0.1): [89.0, 89.2],
    Cell("RigL", "Random", 0.1): [91.0, 92.0, None],
    Cell("RigL", "Random", 0.2): [92.0, 93.0, 93.0],
    Cell("SET", "Random", 0.1): [91.0, 91.2],
    Cell("RigL", "ERK", 0.1): [92.0, 92.2],
    Cell("RigL", "Random", 0.1, 2): [92.0],
    Cell("RigL", "ERK", 0.1, 2): [92.6],
}
SET_LONGER = Cell("SET", "Random", 0.1, 2)
RUNS = runs(CELLS)
PRINTED = printed({cell: (90 + place / 10, 0.2) for place, cell in enumerate(CELLS)})


def lines(axis) -> dict:
    return {line.get_label(): line for line in axis.get_lines()}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_one_marker_per_run_and_a_line_through_the_means():
    random, erk, longer = plots.accuracy_by_density(RUNS).axes
    drawn = lines(random)
    assert drawn["runs RigL"].get_ydata().tolist() == [91.0, 92.0, 92.0, 93.0, 93.0]  # the absent run is not
    assert drawn["mean RigL"].get_ydata() == pytest.approx([91.5, 92 + 2 / 3])
    assert drawn["mean RigL"].get_xdata() == pytest.approx([0.1, 0.2], rel=0.2)  # moved aside a little
    assert set(lines(random)) >= {"runs SET", "runs Small-Dense"}
    assert "runs RigL (ERK)" not in drawn
    assert {"runs RigL (ERK)", "runs Small-Dense"} <= set(lines(erk))
    assert {"runs RigL 2×", "runs RigL 2× (ERK)"} <= set(lines(longer))
    assert "runs Small-Dense" not in lines(longer)


def test_panels_are_titled_and_share_their_axes():
    axes = plots.accuracy_by_density(RUNS).axes
    assert [axis.get_title() for axis in axes] == list(plots.PANELS)
    assert len({axis.get_ylim() for axis in axes}) == len({axis.get_xlim() for axis in axes}) == 1
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["0.1", "0.2"]


def test_methods_keep_their_colour_and_marker():
    for axis in plots.accuracy_by_density(RUNS, PRINTED).axes:
        for label, line in lines(axis).items():
            kind, _, name = label.partition(" ")
            if kind in ("runs", "mean"):
                style = METHOD_STYLE[name.split()[0]]
                assert to_hex(line.get_color()).upper() == style["color"]
                assert kind == "mean" or line.get_marker() == style["marker"]


def test_erk_lines_are_dashed():
    longer = lines(plots.accuracy_by_density(RUNS).axes[2])
    assert longer["mean RigL 2×"].get_linestyle() == "-"
    assert longer["mean RigL 2× (ERK)"].get_linestyle() == "--"


def test_methods_of_one_density_stand_side_by_side():
    drawn = lines(plots.accuracy_by_density(RUNS).axes[0])
    places = [drawn[name].get_xdata()[0] for name in ("runs Small-Dense", "runs SET", "runs RigL")]
    assert len(set(places)) == 3
    longer = lines(plots.accuracy_by_density(RUNS).axes[2])
    assert longer["runs RigL 2×"].get_xdata()[0] != longer["runs RigL 2× (ERK)"].get_xdata()[0]


def test_printed_values_are_open_markers_with_their_spread():
    axis = plots.accuracy_by_density(RUNS, PRINTED).axes[0]
    bars = {item.get_label(): item for item in axis.containers}
    line, _, (spread,) = bars["published RigL"]
    assert line.get_ydata().tolist() == [90.2, 90.3]
    assert line.get_markerfacecolor() == "none"
    assert isinstance(spread, LineCollection)
    low, high = spread.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((90.0, 90.4))


def test_the_dense_model_is_a_line_and_a_band():
    axis = plots.accuracy_by_density(RUNS, PRINTED).axes[1]
    drawn = lines(axis)
    assert drawn["Dense"].get_ydata()[0] == pytest.approx(93.2)
    assert drawn["Dense, published"].get_ydata()[0] == pytest.approx(90.0)
    assert drawn["Dense"].get_linestyle() != drawn["Dense, published"].get_linestyle()
    (band,) = axis.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((93.2 - math.sqrt(0.08), 2 * math.sqrt(0.08)))


def test_legend_names_methods_once_and_what_the_marks_mean():
    entries = legend(plots.accuracy_by_density(RUNS, PRINTED))
    marks = ["one run", "mean of the seeds", "published", "ERK", "Dense ± std", "Dense, published"]
    assert entries == ["Small-Dense", "SET", "RigL", *marks]


def test_legend_without_runs_or_without_printed_values():
    none = RUNS.assign(present=False)
    assert legend(plots.accuracy_by_density(none, PRINTED))[3:] == ["published", "ERK", "Dense, published"]
    assert "published" not in legend(plots.accuracy_by_density(RUNS))


def test_a_collapsed_run_stands_at_the_edge_with_its_number():
    axes = plots.accuracy_by_density(runs(CELLS | {SET_LONGER: [92.0, 10.0]})).axes
    assert [text.get_text() for text in axes[2].texts] == ["10.0"]
    assert not axes[0].texts
    assert axes[2].get_ylim()[0] > 80  # the others stay apart
    (arrow,) = [line for line in axes[2].get_lines() if line.get_label() == "below the axis"]
    assert arrow.get_marker() not in {look["marker"] for look in METHOD_STYLE.values()}
    assert legend(axes[2].figure)[-1] == "below the axis, with its value"
    assert "below the axis, with its value" not in legend(plots.accuracy_by_density(RUNS))
    assert lines(axes[2])["runs SET 2×"].get_ydata().tolist() == [92.0, 10.0]


def test_a_printed_mean_below_the_axis_has_no_bar_across_it():
    values = pd.concat([PRINTED, printed({SET_LONGER: (50.0, 45.0)})])
    axis = plots.accuracy_by_density(RUNS, values).axes[2]
    (bar,) = [item for item in axis.containers if item.get_label() == "published SET 2×"]
    assert np.ptp(bar[2][0].get_segments()[0][:, 1]) == 0
    assert [text.get_text() for text in axis.texts] == ["50.0"]


def test_a_method_of_the_readers_own_is_drawn_last():
    figure = plots.accuracy_by_density(runs(CELLS | {Cell("mine", "Random", 0.1): [91.0]}))
    assert legend(figure)[3] == "mine"
    assert "runs mine" in lines(figure.axes[0])


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="no run is present"):
        plots.accuracy_by_density(RUNS.assign(present=False))


def test_drop_fraction_curve_is_the_schedule():
    updates = [14, 29, 299]
    drawn = lines(plots.drop_fraction_curve(0.3, 300, updates).axes[0])
    curve = drawn["f(t)"]
    assert curve.get_ydata()[0] == 0.3
    assert np.interp(150, curve.get_xdata(), curve.get_ydata()) == pytest.approx(0.15, abs=1e-3)
    assert curve.get_ydata()[-1] == 0.0
    dots = drawn["3 mask updates"]
    assert dots.get_xdata().tolist() == updates
    assert dots.get_ydata() == pytest.approx([drop_fraction(step, 0.3, 300) for step in updates])


@pytest.mark.parametrize(
    "figure",
    [
        plots.accuracy_by_density(RUNS, PRINTED),
        plots.drop_fraction_curve(0.3, 66_000, range(99, 66_000, 100)),
    ],
    ids=["accuracy", "drop"],
)
def test_no_text_leaves_the_figure(figure):
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()  # inches
    assert drawn.x0 >= 0 and drawn.y0 >= 0
    assert drawn.x1 <= figure.get_figwidth() and drawn.y1 <= figure.get_figheight()


def test_figures_stay_out_of_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    plots.drop_fraction_curve(0.3, 100)
    assert plt.get_fignums() == before
