"""The front page's figure and words say what the verdicts say."""

from dataclasses import replace

import pandas as pd
import pytest

from rigl_nb.claims import judge, statements
from rigl_nb.claims.judge import Cell, Claim, Verdict
from rigl_nb.report.sections import overview, verdicts
from rigl_nb.report.sections.verdicts import Judged

LEFT, RIGHT = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1)
CLAIM = Claim("RigL over SET, all densities", "quote", "5", ((LEFT, RIGHT), (replace(LEFT, density=0.2), RIGHT)))


def runs(*accuracies: tuple[Cell, int, float]) -> pd.DataFrame:
    rows = [
        dict(vars(cell), seed=seed, test_accuracy=accuracy, present=True, collapsed=False)
        for cell, seed, accuracy in accuracies
    ]
    return pd.DataFrame(rows)


def test_a_claim_is_cut_to_the_pairs_with_runs():
    frame = runs((LEFT, 0, 80.0), (LEFT, 1, 81.0), (RIGHT, 0, 79.0), (RIGHT, 1, 79.5))
    part = overview.covered(CLAIM, frame)
    assert part.pairs == ((LEFT, RIGHT),)
    assert judge.judge(part, frame).difference == pytest.approx(1.25)
    assert overview.covered(CLAIM, frame[frame["seed"] == 0]) is None


def test_every_headline_is_a_claim_of_some_section():
    boards = {name: verdicts.judged(name) for name in verdicts.JUDGES}
    known = [verdict.claim.name for board in boards.values() for verdict in board.ours]
    assert all(known.count(name) == 1 for name in overview.HEADLINES)
    assert [line.words for line in overview.headlines(boards)] == list(overview.HEADLINES.values())


def line(claim: Claim, **verdicts_: Verdict) -> overview.Headline:
    return overview.Headline("words", "5.1", claim, **{"printed": None, "paper": None, "quick": None} | verdicts_)


def words(figure) -> list[str]:
    return [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]


def test_the_figure_shows_intervals_and_verdicts():
    printed = Verdict(CLAIM, judge.INCONCLUSIVE, 0.17, -0.05, 0.4, 24)
    paper = Verdict(CLAIM, judge.REPRODUCED, 0.5, 0.2, 0.8, 24)
    far = Verdict(CLAIM, judge.INCONCLUSIVE, 9.0, -20.0, 30.0, 6)
    figure = overview.forest([line(CLAIM, printed=printed, paper=paper, quick=far)])
    assert {"words  [5.1]", "? inconclusive", "✓ reproduced"} <= set(words(figure))
    shown = [(list(drawn.get_xdata()), drawn.get_marker()) for drawn in figure.axes[0].lines]
    assert ([-0.05, 0.4], "None") in shown and ([0.17], "o") in shown
    assert ([0.2, 0.8], "None") in shown and ([0.5], "o") in shown
    assert ([-overview.REACH, overview.REACH], "None") in shown  # cut off, an arrow at each end
    assert {"<", ">"} <= {marker for _, marker in shown}
    assert not any(points == [9.0] for points, _ in shown)


@pytest.mark.parametrize(
    ("relation", "margin", "band"),
    [
        ("outperforms", 0.0, (0.0, overview.REACH)),
        ("at least matches", 0.3, (-0.3, overview.REACH)),
        ("matches", 0.3, (-0.3, 0.3)),
    ],
)
def test_the_band_is_where_the_claim_holds(relation, margin, band):
    claim = replace(CLAIM, relation=relation, margin=margin)
    bar = overview.forest([line(claim)]).axes[0].patches[0]
    assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx(band)
    middle = sum(band) / 2
    assert judge.word(claim, middle - 0.01, middle + 0.01) == judge.REPRODUCED


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="no claim"):
        overview.forest([])


def test_the_answer_counts_each_verdict(monkeypatch):
    monkeypatch.setattr(overview, "totals", lambda: {"paper": (3, 1089), "quick": (101, 101)})
    claim = statements.CIFAR10[0]
    ours = (Verdict(claim, judge.REPRODUCED), Verdict(claim, judge.NOT_ENOUGH))
    board = Judged(ours, (Verdict(claim, judge.CONTRADICTED), Verdict(claim, judge.NOT_PRINTED)))
    text = overview.answer({"05_1": board}).data
    assert "2 claims: 0 reproduced, 1 contradicted, 0 inconclusive" in text
    assert "3 of 1,089 `paper`, 101 of 101 `quick`" in text
    assert "1 reproduced, 0 contradicted, 0 inconclusive; 1 still lack runs" in text
