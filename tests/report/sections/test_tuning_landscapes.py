"""Figures of section 5.3 with no, some and all runs: every trial and every pair is drawn, once."""

import numpy as np
import pandas as pd
import pytest
from tuned import SMALL, fill, hill, save, search

from rigl_nb.claims.statements.tuning import DENSITIES, INITS
from rigl_nb.experiments import grids
from rigl_nb.report.figures import style
from rigl_nb.report.sections import tuning, tuning_landscapes
from rigl_nb.runs.store import Store

PRINTED = grids.published("table4_tuning")
PANELS = [(init, density) for init in INITS for density in DENSITIES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fill(Store(tmp_path_factory.mktemp("whole")), hill)


def dots(axis):
    """Places and colours of the trials of a panel."""
    scatter = axis.collections[-1]
    return scatter.get_offsets(), scatter.get_array()


def surfaces(axis):
    return [one for one in axis.collections if type(one).__name__ == "TriContourSet"]


def marks(axis):
    return {line.get_label(): line.get_xydata() for line in axis.get_lines()}


def test_contours_show_every_trial(whole):
    points = tuning.means(whole.trials)
    figure = tuning_landscapes.contours(points, PRINTED)
    panels = figure.axes[: len(PANELS)]
    assert len(figure.axes) == len(PANELS) + 1  # and the colours
    for axis, (init, density) in zip(panels, PANELS, strict=True):
        own = points[(points["init"] == init) & (points["density"] == density)]
        places, colours = dots(axis)
        assert len(own) == SMALL.trials and axis.get_title() == f"{init}, density {density:g}"
        assert {tuple(place) for place in places} == set(zip(own["alpha"], own["delta_t"], strict=True))
        assert colours.max() == 0 and len(surfaces(axis)) == 1
        best = own.loc[own["validation"].idxmax()]
        published = PRINTED[(PRINTED["init"] == init) & (PRINTED["density"] == density)].iloc[0]
        assert marks(axis)["best trial"].tolist() == [[best["alpha"], best["delta_t"]]]
        assert marks(axis)["reference"].tolist() == [[0.3, 100]]
        assert marks(axis)["published optimum"].tolist() == [[published["optimal_alpha"], published["optimal_delta_t"]]]


def test_contours_without_trials_show_the_published_optima(store):
    figure = tuning_landscapes.contours(tuning.means(tuning.collect(SMALL, store).trials), PRINTED)
    assert len(figure.axes) == len(PANELS)
    for axis in figure.axes:
        assert len(dots(axis)[0]) == 0 and not surfaces(axis)
        assert {name for name, places in marks(axis).items() if len(places)} == {"reference", "published optimum"}
        assert [text.get_text() for text in axis.texts] == ["no trial yet"]
    assert "best trial" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert style.png(figure)[:4] == b"\x89PNG"


def test_contours_with_two_trials_are_points_alone(store):
    """Two trials span no surface; the other searches have none."""
    while (trial := search(store.find)[-1]) and len(search(store.find)) < 3:
        for spec in trial.specs:
            save(store, spec, *hill(spec))
    figure = tuning_landscapes.contours(tuning.means(tuning.collect(SMALL, store).trials), PRINTED)
    assert [len(dots(axis)[0]) for axis in figure.axes[: len(PANELS)]] == [2, 0, 0, 0, 0, 0]
    assert not any(surfaces(axis) for axis in figure.axes)
    assert style.png(figure)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("places", "count"),
    [
        ([], None),
        ([(0.2, 100), (0.3, 200), (0.4, 300)], None),  # on a line
        ([(0.2, 100), (0.2, 500), (0.2, 900)], None),
        ([(0.2, 100), (0.3, 200), (0.4, 350)], 1),
        ([(0.2, 100), (0.2, 900), (0.5, 100), (0.5, 900)], 2),
    ],
)
def test_triangles(places, count):
    x, y = np.array(places, float).reshape(-1, 2).T
    found = tuning_landscapes._triangles(x, y)
    assert found is None if count is None else len(found) == count


def test_a_setting_that_was_tried_twice_is_one_point(whole):
    points = tuning.means(whole.trials)
    again = points.head(1).assign(trial=SMALL.trials + 1)
    figure = tuning_landscapes.contours(pd.concat([points, again]), PRINTED)
    assert len(dots(figure.axes[0])[0]) == SMALL.trials


def test_learning_rates_show_every_pair_and_the_best(whole):
    """Two rates, two pairs of α and ΔT; α = 0.4 is the better one. The runs at 0.2 are not drawn."""
    figure = tuning_landscapes.learning_rates(tuning.means(whole.rates))
    for axis in figure.axes:
        lines = {box.get_label(): box.lines[0].get_xydata() for box in axis.containers}
        assert list(lines) == ["density 0.1", "density 0.2", "density 0.5", "Dense"]
        for label, line in lines.items():
            assert line[:, 0] == pytest.approx([0.05, 0.1], rel=0.07)
            assert line[:, 1] == pytest.approx([93.91 if label == "Dense" else 91.41] * 2)
        pale = [line for line in axis.get_lines() if line.get_alpha() == 0.3]
        assert [len(line.get_xdata()) for line in pale] == [4, 4, 4, 2]
    assert len(figure.legends[0].get_texts()) == 4


def test_learning_rates_without_runs_say_so(store):
    sentence = tuning_landscapes.learning_rates(tuning.means(tuning.collect(SMALL, store).rates))
    assert "nothing to draw yet" in sentence.data
