"""The training plots of any set of runs: what is drawn, read from the artists."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from records import made, tiny

from rigl_nb.experiments.equal_flops import layers
from rigl_nb.report.figures import training
from rigl_nb.report.figures.style import METHOD_STYLE

SHAPES = layers("wrn-10-1", "digits")[0]
COUNTS = {name: 8 for name in SHAPES}
MOVED = COUNTS | {next(iter(SHAPES)): 16}


def record(method="RigL", counts=(COUNTS,), **fields):
    active = tuple({"epoch": epoch, "counts": at} for epoch, at in enumerate(counts))
    found = made(tiny(method, epochs=3, **fields), active=active)
    return replace(found, test_flops=0.1 * (1 + found.spec.seed), train_flops=0.2)


def lines(axis) -> list:
    return [line for line in axis.get_lines() if len(line.get_xdata())]


def named(axis) -> dict:
    return {line.get_label(): line for line in lines(axis) if not line.get_label().startswith("_")}


def test_seeds_of_a_configuration_are_thin_lines_and_their_mean_is_thick():
    first, second = record(seed=0), record(seed=1)
    second = replace(second, history=tuple(row | {"loss": row["loss"] + 2} for row in second.history))
    loss, accuracy, *_ = training.training_plots([first, second]).axes
    thin = [line for line in lines(loss) if line.get_linewidth() < 1]
    mean = named(loss)["RigL (ERK) at 0.2"]
    assert len(thin) == 2 and len(lines(loss)) == 3
    assert mean.get_ydata() == pytest.approx([row["loss"] + 1 for row in first.history])
    assert mean.get_linewidth() > 1 and mean.get_xdata().tolist() == [1, 2, 3]
    pale = [line for line in lines(accuracy) if line.get_alpha() == 0.3]
    assert pale[0].get_ydata() == pytest.approx([row["train_accuracy"] for row in first.history])


def test_one_run_is_one_line_in_its_methods_look():
    figure = training.training_plots([record(init="Random")])
    (line,) = lines(figure.axes[0])
    assert to_hex(line.get_color()).upper() == METHOD_STYLE["RigL"]["color"] and line.get_linestyle() == "-"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["RigL at 0.2 (n = 1)"]


def test_configurations_of_one_method_stay_apart():
    records = [record(), record(density=0.5), record(init="Random"), record(learning_rate=0.05), record("SET")]
    found = training.groups(records)
    assert [group.name for group in found] == [
        "RigL (ERK) at 0.2, η 0.1",
        "RigL (ERK) at 0.5",
        "RigL at 0.2",
        "RigL (ERK) at 0.2, η 0.05",
        "SET (ERK) at 0.2",
    ]
    assert len({(group.color, group.linestyle) for group in found}) == 5
    assert found[0].linestyle == found[1].linestyle != found[2].linestyle
    assert to_hex(found[4].color).upper() == METHOD_STYLE["SET"]["color"]


def test_layers_are_drawn_at_their_place_and_unmasked_ones_are_dense():
    partly = {name: n for name, n in COUNTS.items() if name != next(iter(SHAPES))}
    depth = training.training_plots([record(counts=(partly,))]).axes[4]
    (line,) = lines(depth)
    assert line.get_ydata()[0] == 1 and len(line.get_ydata()) == len(SHAPES)
    assert line.get_ydata()[1] == pytest.approx(8 / np.prod(list(SHAPES.values())[1]))


def test_densities_that_moved_show_their_start():
    depth = training.training_plots([record("SNFS", counts=(COUNTS, MOVED))]).axes[4]
    start, end = lines(depth)
    assert start.get_alpha() == 0.3 and end.get_ydata()[0] == pytest.approx(2 * start.get_ydata()[0])


def test_costs_are_a_marker_for_every_run():
    cost = training.training_plots([record(seed=0), record(seed=1)]).axes[5]
    (marks,) = lines(cost)
    assert marks.get_xydata() == pytest.approx(np.array([[0.1, 0.2], [0.2, 0.2]]))
    assert min(cost.get_xlim()[1], cost.get_ylim()[1]) >= 1, "the dense model's cost is in sight"


def test_what_a_method_does_not_have_is_said():
    dense = record("Dense", counts=({},))
    dense = replace(dense, history=tuple(row | {"drop_fraction": 0.0} for row in dense.history))
    figure = training.training_plots([dense])
    assert [axis.texts[0].get_text() for axis in figure.axes if axis.texts] == [
        "no method that moves its masks",
        "no method with masks",
    ]


def test_a_lost_loss_leaves_a_gap():
    lost = record()
    lost = replace(lost, history=(*lost.history[:2], lost.history[2] | {"loss": None}))
    (line,) = lines(training.training_plots([lost]).axes[0])
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True]


def test_without_a_record_a_sentence_stands_in_its_place():
    assert "nothing to draw yet" in training.training_plots([]).data


def test_it_looks_like_the_other_figures():
    axes = training.training_plots([record()]).axes
    assert not any(axis.spines["top"].get_visible() for axis in axes)
    assert all(axis.xaxis.get_gridlines()[0].get_visible() for axis in axes)


def test_long_names_fit_the_figure():
    """What sets these apart makes names as long as those of the dense runs on notebook 11's page."""
    first = record(method="Dense", counts=({},), init=None, density=1.0)
    wordy = {"validation": 5_000, "learning_rate": 0.05, "model": "wrn-22-2", "data": "cifar10", "batch_size": 128}
    second = replace(first, spec=replace(first.spec, **wordy))
    third = replace(second, spec=replace(second.spec, epochs=250, learning_rate=0.006))
    figure = training.training_plots([first, second, third])
    figure.draw_without_rendering()
    assert any(len(text.get_text()) > 55 for text in figure.legends[0].get_texts())
    assert figure.get_tightbbox().x0 >= 0 and figure.get_tightbbox().x1 <= figure.get_figwidth()


def test_forty_runs_fit_the_figure():
    records = [record(density=d / 100, seed=s) for d in range(5, 25) for s in (0, 1)]
    figure = training.training_plots(records)
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0 and drawn.y0 >= 0
    assert drawn.x1 <= figure.get_figwidth() and drawn.y1 <= figure.get_figheight()
    assert len(figure.legends[0].get_texts()) == 20
