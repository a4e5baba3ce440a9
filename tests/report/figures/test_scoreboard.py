"""The table of claims: each verdict in words, beside the printed one."""

from frames import runs

from rigl_nb.claims.judge import Cell, Claim, judge, judge_published
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables

TABLE2 = grids.published("table2_cifar10")
RANDOM, SET, DENSE = Cell("RigL", "Random", 0.1), Cell("SET", "Random", 0.1), Cell("Dense")


def claim(name: str, *pairs) -> Claim:
    return Claim(name, f"quote of {name} < & >", "5.1", pairs)


def test_scoreboard_in_words_and_symbols():
    cells = {"left": [92.0, 92.1, 92.2], "right": [90.0, 90.1, 90.3], "wide": [80.0, 90.0, 105.0]}
    left, right, wide, absent = (Cell(name, None, 0.1) for name in (*cells, "absent"))
    frame = runs(dict(zip((left, right, wide), cells.values(), strict=True)))
    stated = [
        claim("true", (left, right)),
        claim("false", (right, left)),
        claim("open", (left, wide)),
        claim("untried", (left, absent)),
    ]
    table = tables.scoreboard([judge(item, frame) for item in stated])
    assert table.data["verdict"].tolist() == [
        "✓ reproduced",
        "✗ contradicted",
        "? inconclusive",
        "… not enough runs: absent at 0.1",
    ]
    assert table.data["n"].tolist() == ["3", "3", "3", "0"]
    assert table.data["ours"].iloc[0].startswith("+1.97 [+1.82,")
    assert table.data["ours"].iloc[1].startswith("−1.97 [−2.11,")
    assert table.data[["published"]].eq("–").all(axis=None)
    assert table.data["ours"].iloc[3] == "–"
    assert table.data["tested"].iloc[0] == "true: difference > 0"
    assert "quote of true &lt; &amp; &gt;" in table.to_html()


def test_scoreboard_puts_the_printed_difference_beside_ours():
    stated = claim("RigL over SET", (RANDOM, SET))
    none = runs({RANDOM: [None]})
    table = tables.scoreboard([judge(stated, none)], [judge_published(stated, TABLE2)])
    printed = table.data["published"].iloc[0]
    assert printed.startswith("+0.40 [") and printed.endswith("] ? inconclusive")


def test_scoreboard_says_when_only_some_pairs_are_printed():
    unprinted = Cell("RigL", "Random", 0.05)
    stated = claim("over a range", (RANDOM, SET), (unprinted, SET))
    table = tables.scoreboard([judge(stated, runs({RANDOM: [None]}))], [judge_published(stated, TABLE2)])
    assert table.data["published"].iloc[0].endswith("] ? inconclusive, of the pairs that are printed")


def test_scoreboard_shortens_long_lists_and_counts_collapsed_runs():
    other = Cell("RigL", "ERK", 0.1)
    untried = judge(claim("untried", (RANDOM, SET), (other, DENSE)), runs({RANDOM: [None]}))
    frame = runs({RANDOM: [91.0, 92.0], SET: [90.0, 60.0]}, collapsed={(SET, 1)})
    table = tables.scoreboard([untried, judge(claim("true", (RANDOM, SET)), frame)])
    assert table.data["verdict"].iloc[0] == "… not enough runs in 4 cells"
    assert table.data["n"].iloc[1] == "2, 1 collapsed"


def test_an_empty_scoreboard_has_its_columns():
    assert list(tables.scoreboard([]).data) == ["claim", "tested", "published", "ours", "n", "verdict"]
