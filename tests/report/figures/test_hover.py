"""Why every weight stayed, went or came: the words agree with the masks, by hand and for masks of any kind."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb import masks
from rigl_nb.report.figures import hover

WEIGHT = torch.tensor([[0.9, 0.0, -0.1, 0.4], [0.0, -0.7, 0.0, 0.0]])
GRADIENT = torch.tensor([[0.2, -0.8, 0.1, 0.5], [0.3, -0.9, 0.05, -0.4]])
BEFORE = WEIGHT != 0
KEPT = masks.drop(WEIGHT, BEFORE, 2)
AFTER = masks.grow(GRADIENT.abs(), KEPT, 2)


def why(*args, **rest) -> list[str]:
    """The reasons without the two lines of place and numbers."""
    return [text.split("\n", 2)[2] for text in hover.reasons(*args, **rest)]


def test_eight_weights_by_hand():
    out = "left out: |gradient| {} is not among the 2 largest of 6 candidates"
    assert why(BEFORE, KEPT, AFTER, WEIGHT, GRADIENT) == [
        "kept: |weight| 0.9 is not among the 2 smallest of 4 active weights",
        "grown: |gradient| 0.8 is among the 2 largest of 6 candidates",
        "dropped: |weight| 0.1 is among the 2 smallest of 4 active weights\n"
        "not regrown: |gradient| 0.1 is not among the 2 largest of 6 candidates",
        "dropped: |weight| 0.4 is among the 2 smallest of 4 active weights\n"
        "regrown: |gradient| 0.5 is among the 2 largest of 6 candidates",
        out.format("0.3"),
        "kept: |weight| 0.7 is not among the 2 smallest of 4 active weights",
        out.format("0.05"),
        out.format("0.4"),
    ]


def test_place_and_numbers_come_first():
    lines = hover.reasons(BEFORE, KEPT, AFTER, WEIGHT, GRADIENT)[5].split("\n")
    assert lines[:2] == ["index 5: row 1, column 1", "weight -0.7, gradient -0.9"]


def test_before_an_update_and_between_its_halves():
    assert why(BEFORE, BEFORE, BEFORE, WEIGHT, GRADIENT)[:2] == [
        "kept: nothing is dropped",
        "left out: nothing is grown",
    ]
    assert why(BEFORE, KEPT, KEPT, WEIGHT, GRADIENT)[2] == (
        "dropped: |weight| 0.1 is among the 2 smallest of 4 active weights"
    )


def test_one_that_moves_alone():
    kept = masks.drop(WEIGHT, BEFORE, 1)
    after = masks.grow(GRADIENT.abs(), kept, 1)
    words = why(BEFORE, kept, after, WEIGHT, GRADIENT)
    assert words[2].startswith("dropped: |weight| 0.1 is the smallest of 4 active weights")
    assert words[4] == "left out: |gradient| 0.3 is not the largest of 5 candidates"


def test_of_equal_ones_the_rule_is_told():
    equal, all_on = torch.ones(1, 4), torch.ones(1, 4, dtype=torch.bool)
    kept = masks.drop(equal, all_on, 2)
    after = masks.grow(equal, kept, 1)
    first, _, third, fourth = why(all_on, kept, after, equal, equal)
    rule = "of equal ones the lower index is kept"
    assert first == f"kept: |weight| 1 is not among the 2 smallest of 4 active weights; {rule}"
    assert third.split("\n") == [
        f"dropped: |weight| 1 is among the 2 smallest of 4 active weights; {rule}",
        "regrown: |gradient| 1 is the largest of 2 candidates; of equal ones the lower index comes first",
    ]
    assert fourth.split("\n")[1].startswith("not regrown: |gradient| 1 is not the largest of 2 candidates")


def test_growth_by_chance():
    after = KEPT.clone()
    after[0, 3] = after[1, 2] = True
    words = why(BEFORE, KEPT, after, WEIGHT, GRADIENT, by_chance=True)
    assert words[6] == "grown: one of the 2 drawn at random from 6 candidates"
    assert words[4] == "left out: not one of the 2 drawn at random from 6 candidates"
    with pytest.raises(ValueError, match=r"do not follow from \|gradient\|"):
        hover.reasons(BEFORE, KEPT, after, WEIGHT, GRADIENT)


few = st.sampled_from([0.0, 0.5, -0.5, 1.0, -2.0])  # many ties


@given(data=st.data(), rows=st.integers(1, 3), columns=st.integers(1, 5))
def test_the_words_agree_with_the_masks(data, rows, columns):
    n = rows * columns
    weight, gradient = (torch.tensor(data.draw(st.lists(few, min_size=n, max_size=n))) for _ in range(2))
    before = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    dropped = data.draw(st.integers(0, int(before.sum())))
    shape = lambda flat: flat.reshape(rows, columns)  # noqa: E731
    kept = masks.drop(shape(weight), shape(before), dropped)
    grown = data.draw(st.integers(0, int((~kept).sum())))
    after = masks.grow(shape(gradient).abs(), kept, grown)
    down = sorted((abs(weight[i].item()), -i) for i in range(n) if before[i])[:dropped]
    gone = {-i for _, i in down}
    free = [i for i in range(n) if i in gone or not before[i]]
    come = set(sorted(free, key=lambda i: (-abs(gradient[i].item()), i))[:grown])
    words = why(shape(before), kept, after, shape(weight), shape(gradient))
    for i, text in enumerate(words):
        assert text.startswith("dropped") == (i in gone)
        assert bool(re.search(r"^(re)?grown", text, re.MULTILINE)) == (i in come)
        assert text.startswith("kept") == bool(kept.flatten()[i])
        if i in gone and dropped > 1:
            assert f"is among the {dropped} smallest of {int(before.sum())} active weights" in text


def test_the_table_has_a_cell_for_every_weight():
    page = hover.mask_update(BEFORE, KEPT, AFTER, WEIGHT, GRADIENT, values=WEIGHT, title="a <b>").data
    assert page.count("<td") == 8 and page.count("<tr") == 2 and "<p>a &lt;b&gt;</p>" in page
    assert "index 1: row 0, column 1&#10;weight 0, gradient -0.8&#10;grown: |gradient| 0.8 is among" in page
    assert [int(n) for n in re.findall(r"\((\d)\)</span>", page)] == [3, 2, 1, 1, 1]  # as in STATES
    assert "×<br>-0.10" in page and " id=" not in page


def test_a_large_layer_fits_the_page():
    big = torch.zeros(4, 64)
    page = hover.mask_update(*[big.bool()] * 3, big, big).data
    (size,) = set(re.findall(r"width:(\d+)px;height", page))
    assert (int(size) + 1) * 64 <= hover.WIDEST
