"""The board of claims: a word, a symbol, a drawn interval and numbers for each claim and scale."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.fact import Fact
from rigl_nb.claims.judge import Answer
from rigl_nb.report.figures import board
from rigl_nb.report.figures.board import HEIGHT, REACH, WIDTH

A, B = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1)
CLAIM = Claim("A over B", "quote < & >", "5.1", ((A, B),))
NBSP = "\N{NO-BREAK SPACE}"
FACT = Fact("costs agree", "quote", "5.1", "printed costs", 3, 3, "03")


def answer(outcome=judge.SUPPORTED, value=0.2, error=0.05, scale="printed", pairs=1, **rest):
    one = Estimate(value, error, 10)
    return Answer(rest.pop("claim", CLAIM), scale, outcome, one, (one,) * pairs, **({"n": 6} | rest))


def rung(claim=CLAIM, **answers):
    return SimpleNamespace(section="05_1", claim=claim, answers=answers)


def rows(shown):
    """The cells of every line of the table, without tags."""
    lines = re.findall(r"<tr.*?</tr>", shown.data, re.DOTALL)
    parts = [re.findall(r"<t[hd].*?</t[hd]>", line, re.DOTALL) for line in lines]
    return [[re.sub(r"<[^>]+>", " ", cell).strip() for cell in line] for line in parts]


@pytest.mark.parametrize(
    ("outcome", "symbol", "words"),
    [
        (judge.SUPPORTED, "✓", ("supported", "same direction", "reproduced")),
        (judge.OPPOSITE, "✗", ("not supported", "opposite", "contradicted")),
        (judge.NO_DIFFERENCE, "≈", ("not supported", "cannot tell", "no practical difference")),
        (judge.UNDECIDED, "?", ("undecided", "cannot tell", "undecided")),
    ],
)
def test_words_and_symbols(outcome, symbol, words):
    for scale, word in zip(("printed", "quick", "paper"), words, strict=True):
        assert board.cell(answer(outcome, scale=scale)).startswith(f"<b>{symbol}{NBSP}{word}</b><br><svg ")


def test_numbers_have_a_minus_sign_and_do_not_break():
    half = 2.228139 * 0.05
    assert board.ours(answer(value=-0.2)) == f"−0.20 [−{0.2 + half:.2f},{NBSP}−{0.2 - half:.2f}]"


def test_no_answer_is_a_dash():
    assert board.cell(None) == board.cell(Answer(CLAIM, "paper", judge.NOT_ENOUGH)) == "–"


def test_details_say_what_the_numbers_rest_on():
    two = replace(CLAIM, pairs=((A, B), (A, Cell("Dense"))))
    whole = Estimate(-7.5, 3.0, 4)
    shown = board.cell(answer(claim=two, pairs=2, agree=1, n=9, missing=(A,), broken=(1, 1), whole=whole))
    assert (
        f"n{NBSP}={NBSP}9; 1 of 2 agree: on average only; without 1 of 3 cells; 2 broken apart, with them −7.50"
        in shown
    )
    plain = board.cell(answer())
    assert f"<small>n{NBSP}={NBSP}6</small>" in plain


def test_what_small_runs_could_have_shown():
    """Ten degrees of freedom: 3.11 errors are found in four of five cases."""
    assert "could show ±0.3" in board.cell(answer(judge.UNDECIDED, error=0.1, scale="quick"))
    assert "could show" not in board.cell(answer(judge.UNDECIDED, error=0.1, scale="printed"))
    assert "could show" not in board.cell(answer(judge.SUPPORTED, error=0.1, scale="quick"))
    unknown = Answer(CLAIM, "quick", judge.UNDECIDED, Estimate(0.2, math.nan, math.nan), (answer().estimate,))
    shown = board.cell(unknown)
    assert "could show" not in shown and "<svg" not in shown and "nan" not in shown and "<br>+0.20<br>" in shown


def drawn(low, value, high, claim=CLAIM):
    return board.interval(claim, low, value, high)


def test_an_interval_is_drawn_to_scale():
    text = drawn(-0.8, 0.0, 0.8)
    assert f'd="M{WIDTH / 4} {HEIGHT // 2}H{WIDTH * 3 / 4}"' in text and f'cx="{WIDTH / 2}"' in text
    assert 'aria-label="from -0.80 to +0.80"' in text and text.count("L") == 0, "no arrow"


@pytest.mark.parametrize(
    ("low", "value", "high", "arrows", "dot"), [(-9, 0, 1, 1, 1), (1, 9, 9.5, 1, 0), (-9, 5, 9, 2, 0)]
)
def test_what_goes_on_beyond_ends_in_an_arrow(low, value, high, arrows, dot):
    text = drawn(low, value, high)
    assert (text.count("L") // 2, text.count("<circle")) == (arrows, dot)
    ends = [float(x) for x in re.search(r'd="M([\d.]+) 8H([\d.]+)"', text).groups()]
    exact = [max(0, WIDTH / 2 * (1 + low / REACH)), min(WIDTH, WIDTH / 2 * (1 + high / REACH))]
    assert ends == pytest.approx(exact, abs=0.06)


@pytest.mark.parametrize(
    ("relation", "margin", "band"),
    [
        ("outperforms", 0.0, (0.0, REACH)),
        ("outperforms", 0.5, (0.5, REACH)),
        ("at least matches", 0.3, (-0.3, REACH)),
        ("matches", 0.1, (-0.1, 0.1)),
        ("not better", 0.0, (-REACH, 0.3)),
    ],
)
def test_the_band_is_where_the_claim_is_supported(relation, margin, band):
    claim = replace(CLAIM, relation=relation, margin=margin)
    assert board.band(claim) == band
    inside, outside = (
        sum(band) / 2,
        (band[0] if relation != "not better" else band[1]) + (0.01, -0.01)[band[0] > -REACH],
    )
    found = [judge.decide(claim, one, (one,))[0] for one in (Estimate(inside, 1e-4, 50), Estimate(outside, 1e-4, 50))]
    assert found[0] == judge.SUPPORTED != found[1]
    left, right = (round(WIDTH / 2 * (1 + end / REACH), 1) for end in band)
    assert f'<rect x="{left}" y="0" width="{round(right - left, 1)}"' in drawn(0, 0, 0, claim)


def test_a_column_for_each_scale_with_an_answer_in_their_order():
    other = replace(CLAIM, name="B over A", own=True)
    shown = board.board([rung(quick=answer(scale="quick")), rung(other, printed=answer())], "claims")
    head, quote, first, second = rows(shown)
    assert head == ["claim", "by the printed numbers", "quick runs"]
    assert quote == ["“quote &lt; &amp; &gt;”  (section 5.1)"], "both have one quote, escaped"
    assert first[0].startswith("A over B") and first[0].endswith("difference &gt; 0") and first[1] == "–"
    assert "(our question)" in second[0] and second[2] == "–" and "✓" in second[1] and "✓" in first[2]
    assert 'id="T_claims"' in shown.data and "our question" not in first[0]


def test_other_names_replace_quotes():
    shown = rows(board.board([rung(printed=answer())], "x", names={"A over B": "A is better"}))
    assert len(shown) == 2 and shown[1][0].startswith("A is better  [5.1]")


def test_facts_come_first_across_all_scales():
    facts = (FACT, replace(FACT, name="wrong", agree=1))
    shown = board.board([rung(printed=answer(), quick=answer(scale="quick"))], "x", facts=facts)
    head, first, second, *rest = rows(shown)
    assert head == ["claim", "by the printed numbers", "quick runs"]
    assert first == ["costs agree  [5.1]   printed costs", f"✓{NBSP}verified  by arithmetic  3 of 3"]
    assert second[1] == f"✗{NBSP}differs  by arithmetic  1 of 3" and shown.data.count('colspan="2"') == 2
    assert "supported" in rest[-1][1]
    head, only = rows(board.board([], "x", facts=[replace(FACT, how="by the clock")]))
    assert head == ["claim", "by the clock"] and len(only) == 2


def test_names_and_sections_are_escaped():
    shown = board.board([rung(replace(CLAIM, name="a < b & c", section="5 <x>"), printed=answer())], "x").data
    assert "a &lt; b &amp; c" in shown and "(section 5 &lt;x&gt;)" in shown and "<x>" not in shown


def test_claims_without_any_number_say_so():
    head, _, only = rows(board.board([rung()], "x"))
    assert head == ["claim", "answer"] and only[1] == "–  no numbers to judge it by yet"
    head, _, claim = rows(board.board([rung(), rung(printed=answer())], "x"))[:3]
    assert head == ["claim", "by the printed numbers"] and claim[1] == "–", "its head tells what has no number"


def test_an_empty_board_has_its_head():
    assert rows(board.board([], "x")) == [["claim", "answer"]]
