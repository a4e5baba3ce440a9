"""Runs on text in grid, records, words of progress, tables and figures, from made-up records with known answers."""

import json
import math
from dataclasses import replace

import pytest
from records import PLAIN, made, result, tiny
from scipy import stats

from rigl_nb.experiments import grids, language, profiles
from rigl_nb.report.figures import training
from rigl_nb.report.sections import all_runs, characters, shared
from rigl_nb.runs import attempt
from rigl_nb.runs.record import Record, RecordError, from_result
from rigl_nb.train import Progress

pytest_plugins = ["commands"]
METHODS = ["Dense", "RigL", "SET", "Static", "Pruning"]
WORTH = dict(zip(METHODS, (2.0, 2.25, 2.5, 3.0, 2.125), strict=True))


def spoken(spec, test_bits, accuracy=40.0, **changes) -> Record:
    """Return the record of a run on text that ends with so many bits."""
    rows = tuple(row | {"validation_bits": test_bits + 1 / row["epoch"]} for row in result(spec).history)
    return made(spec, history=rows, test_bits=test_bits, test_accuracy=accuracy, **changes)


@pytest.fixture
def three():
    """Return records of the quick runs: 0.125 bits apart from seed to seed."""
    return [spoken(spec, WORTH[spec.method] + 0.125 * (spec.seed - 1)) for spec in grids.specs("12", "quick")]


@pytest.fixture
def frame(three, store):
    for record in three:
        store.save(record)
    return store.frame(record.spec for record in three)


# ---- the grid


def test_the_runs_of_each_profile():
    for name, seeds in {"smoke": (0,), "quick": (0, 1, 2)}.items():
        specs = grids.specs("12", name)
        assert [(spec.method, spec.seed) for spec in specs] == [(m, seed) for m in METHODS for seed in seeds]
        for spec in specs:
            assert (spec.data, spec.optimizer, spec.clip) == ("pydoc", "Adam", 1.0)
            assert (spec.density, spec.init) == ((1, None) if spec.method == "Dense" else (0.25, spec.init))
            assert spec.init == ("Random" if spec.method in METHODS[1:4] else None)
    assert language.runs(profiles.PROFILES["short"]) == [] and not grids.specs("12", "paper")


def test_a_profile_may_give_the_text_a_length_of_its_own():
    for name in ("smoke", "quick"):
        specs, size = grids.specs("12", name), profiles.PROFILES[name]
        assert {spec.epochs for spec in specs} == {size.length("pydoc")} != {size.epochs}
        assert {profiles.name_of(spec) for spec in specs} == {name}
        moving = [spec for spec in specs if spec.method == "RigL"]
        assert all(20 <= spec.t_end // spec.delta_t <= 24 for spec in moving), "about 20 updates"
    assert profiles.PROFILES["quick"].length("cifar10") == 3
    text = shared.sizes("12").splitlines()
    assert (
        "pydoc, gru-48, 1 epoch, 5 runs" in text[0]
        and text[1].endswith("15 runs")
        and text[2].endswith("nothing, 0 runs")
    )


# ---- records


def test_a_record_of_text_comes_back(three):
    record = three[0]
    again = Record.from_json(record.to_json())
    assert again == record
    assert again.test_bits == 1.875 and again.history[1]["validation_bits"] == pytest.approx(1.875 + 1 / 2)


def test_a_record_of_images_has_nothing_of_it():
    """Neither bits nor the fields that came later: such records are as they always were."""
    content = json.loads(made(tiny()).to_json())
    assert "test_bits" not in content and "validation_bits" not in content["history"]
    assert not {"optimizer", "clip"} & content["spec"].keys()
    adam = json.loads(made(tiny(optimizer="Adam", nesterov=False, clip=2.0)).to_json())["spec"]
    assert (adam["optimizer"], adam["clip"]) == ("Adam", 2.0)


def test_lost_bits_are_null_and_a_collapse():
    spec = grids.specs("12", "smoke")[0]
    lost = spoken(spec, math.nan)
    assert lost.collapsed and Record.from_json(lost.to_json()) == lost and lost.test_bits is None
    assert not spoken(spec, 4.62, accuracy=16.0).collapsed
    assert spoken(spec, 4.63, accuracy=60.0).collapsed, "no better than frequencies alone"


@pytest.mark.parametrize("damage", [{"test_bits": "few"}, {"test_bits": -1.0}, {"test_bits": True}, {"history": None}])
def test_damage_is_named(three, damage):
    content = json.loads(three[0].to_json())
    content["history"].pop("validation_bits") if "history" in damage else content.update(damage)
    with pytest.raises(RecordError, match="bits"):
        Record.from_json(json.dumps(content))


def test_images_have_no_bits():
    content = json.loads(made(tiny()).to_json()) | {"test_bits": 2.0}
    with pytest.raises(RecordError, match="no text"):
        Record.from_json(json.dumps(content))


# ---- words


def test_words_of_progress(three):
    done = attempt.done(three[1])
    assert done.text.startswith("test 2.000 bits/char, 33 s") and done.text.endswith(" windows/s")
    spec = three[1].spec
    on = attempt.underway(Progress(spec, 200, three[1].history[:1], 10.0, dict))
    assert on.text == "epoch 2/4, 640 windows/s, validation 3.00 bits/char"
    first = attempt.underway(Progress(spec, 20, (), 10.0, dict))
    assert first.text == "epoch 1/4, 64 windows/s"
    assert attempt.done(made(tiny())).text.startswith("test 91.70 %, 33 s, 6,667 images/s")


# ---- tables and figures


def test_means_by_hand(frame):
    table = characters.summary(frame)
    assert table["method"].tolist() == METHODS
    rigl = table.iloc[1]
    assert (rigl["bits"], rigl["n"], rigl["collapsed"]) == (2.25, 3, 0) and rigl["std"] == pytest.approx(0.125)
    assert characters.order(frame) == "Dense 2.00, Pruning 2.12, RigL 2.25, SET 2.50, Static 3.00"


def test_the_table(frame):
    shown = characters.table({"paper": frame.iloc[:0], "quick": frame}, "u")
    cells = shown.data.fillna("")
    assert cells["method"].tolist() == [*METHODS, characters.FREQUENCIES]
    assert cells["bits per character, quick"].tolist()[1] == "2.250 ± 0.125 (n = 3)"
    assert cells["bits per character, quick"].tolist()[-1] == "4.629"
    assert "paper" not in " ".join(cells.columns) and cells["density"].tolist()[0] == "1"
    assert cells["next character right"].tolist()[0] == "40.0 %"
    assert "no run yet" in characters.table({"quick": frame.iloc[:0]}, "u").to_html()


def test_missing_and_collapsed_runs_are_told(three, store):
    for record in three[:4]:
        store.save(record if record.spec.seed else spoken(record.spec, math.nan))
    frame = store.frame(record.spec for record in three)
    rows = characters.summary(frame)
    assert rows["n"].tolist() == [3, 1] and rows["collapsed"].tolist() == [1, 1]
    assert "n = 3, 1 collapsed" in characters.cell(rows.iloc[0])


def test_a_section_shows_bits_and_no_percent_of_a_test(frame, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(shared, "display", lambda table: seen.append(table.to_html()))
    shared.show(frame)
    assert len(seen) == 1 and "bits per character, here" in seen[0] and "test accuracy" not in seen[0]


def test_the_gallery_says_bits(three):
    table = all_runs.configurations([*three, made(tiny(epochs=3))])
    assert table["test accuracy"].tolist()[0] == "2.00 ± 0.12 bits/char"
    assert table["test accuracy"].tolist()[-1] == "91.7"
    assert table["profile"].tolist() == ["quick"] * 6


def test_the_curves(three):
    """A thin line for each seed and a thick one for their mean, in the method's colour."""
    axis = characters.curves(three).axes[0]
    colours = {group.color for group in training.groups(three)}
    assert len(axis.lines) == 4 * len(METHODS) and {line.get_color() for line in axis.lines} == colours
    mean = axis.lines[3].get_ydata()
    assert mean == pytest.approx([2 + 1 / epoch for epoch in (1, 2, 3, 4)], rel=1e-5)
    assert "nothing to draw yet" in characters.curves([]).data


def test_where_the_weights_are(three):
    spec = three[3].spec
    counts = ({"epoch": 4, "counts": {"gru.weight_ih_l0": 6144, "gru.weight_hh_l0": 0, "readout.weight": 11776}},)
    ended = replace(three[-1], active=counts)
    table = characters.shapes(spec, [ended]).set_index("layer")
    assert table["shape"].tolist() == ["384\xa0×\xa032", "384\xa0×\xa0128", "92\xa0×\xa0128"]
    assert table["weights"].tolist() == [12288, 49152, 11776]
    assert table["share of FLOPs"].tolist() == pytest.approx([n / 73216 for n in (12288, 49152, 11776)])
    assert table["density, Random"].tolist() == pytest.approx([0.25] * 3, abs=1e-4)
    assert table["density, after Pruning"].tolist() == [0.5, 0.0, 1.0]
    erk = table["density, ERK"]
    assert (erk * table["weights"]).sum() == 18304 and erk.iloc[2] > erk.iloc[1]


def test_settings_are_those_of_the_run(three):
    table = characters.settings(three[3].spec).set_index("setting")["here"]
    assert table["iterations"] == "632" and table["state of the GRU"] == 128 and table["density"] == "0.25"


def test_settings_of_the_paper_stand_beside_with_their_place(three):
    table = characters.settings(three[3].spec).set_index("setting")
    assert table.loc["learning rate", ["RigL paper", "there in"]].tolist() == ["0.0007", "appendix I"]
    assert set(table.index) == set(grids.published("original_character_lm")["setting"])


def test_what_the_paper_says_beside_our_differences(frame):
    """By hand: three seeds of five methods, 0.125 apart, so the pooled error of a difference is 0.125 · √(2/3)."""
    found = characters.said(frame)
    half = stats.t.ppf(0.975, 10) * 0.125 * math.sqrt(2 / 3)
    for place, (row, difference, word) in enumerate(
        (
            ("SET − RigL", 0.25, "same direction"),
            ("SET − RigL", 0.25, "same direction"),
            ("Static − RigL", 0.75, "same direction"),
            ("RigL − Pruning", 0.125, "cannot tell"),
        )
    ):
        low, high = (f"{difference + side * half:+.3f}".replace("-", "−") for side in (-1, 1))
        assert found.iloc[place, 1:].tolist() == [row, f"{difference:+.3f} [{low},\N{NO-BREAK SPACE}{high}]", word]
    assert characters.said(frame.iloc[:0])["answer"].tolist() == ["not enough runs"] * 4


def test_numbers_are_rounded_as_all_others(three):
    spec = three[0].spec
    long = from_result(spec, result(spec, test_bits=2.123456789, history=three[0].history), PLAIN, {})
    assert long.test_bits == 2.12346
