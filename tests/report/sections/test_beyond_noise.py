"""Section 6.3: how much validation accuracy differs between seeds, from which runs."""

import math
from dataclasses import replace

import pytest
from test_beyond import SITUATIONS, SMALL, fill

from rigl_nb.report.sections import beyond


def test_noise_is_pooled_within_settings_and_the_best_is_apart(tmp_path):
    profile = replace(SMALL, search_seeds=(0, 4))
    value = {0: 60.0, 4: 62.0, 1: 70.0, 2: 72.0, 3: 74.0}
    one = fill(tmp_path, lambda s: value[s.seed], lambda s: 60.0, profile)
    # all are equal, so the first, Uniform, is best: 60 and 62 apart from 70, 72 and 74; three settings with 60 and 62;
    # ERK and Random with all five (squares around 67.6: 57.76 + 31.36 + 5.76 + 19.36 + 40.96)
    std, freedom = beyond.noise(one)
    assert one.best == 0 and freedom == (1 + 2) + 3 * 1 + 2 * 4
    assert std == pytest.approx(math.sqrt((2 + 8 + 3 * 2 + 2 * 155.2) / 14))
    assert beyond.half_width(one, 4) == pytest.approx(2.144787 * std / 2)  # Student's t, 0.975, 14


def test_table_2_tells_of_the_noise_too(tmp_path):
    one = fill(tmp_path, *SITUATIONS["better"])
    two = one.runs.iloc[:2].assign(run_id=["a", "b"], config_id="other", validation_accuracy=[50.0, 56.0])
    more = replace(one, others=two.drop(columns=["phase", "broken", "configuration", "own"]))
    (std, freedom), (before, fewer) = beyond.noise(more), beyond.noise(one)
    assert freedom == fewer + 1 and std**2 * freedom == pytest.approx(before**2 * fewer + 2 * 3**2)
    assert beyond.noise(replace(one, others=one.runs)) == (before, fewer), "a run counts once"
