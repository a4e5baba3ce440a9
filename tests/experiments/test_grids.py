"""The report's grids: which runs, at which size, computed by hand from the profile rules."""

import csv
from dataclasses import replace

import pandas as pd
import pytest

from rigl_nb.experiments import grids
from rigl_nb.experiments.grids import PROFILES, PUBLISHED, SECTIONS, published, specs

SECTION = "05_1"
ALL = {profile: specs(SECTION, profile) for profile in PROFILES}
METHODS = {"Dense", "Small-Dense", "Static", "SET", "SNFS", "RigL", "Pruning", "Lottery"}  # Table 2's


def row(spec) -> tuple:
    return (spec.method, spec.init, spec.multiplier, spec.density)


def table2() -> set[tuple]:
    """Return the rows of Table 2, read without the code under test."""
    with open(PUBLISHED / "table2_cifar10.csv") as file:
        rows = list(csv.DictReader(file))
    return {(r["method"], r["init"] or None, int(r["multiplier"]), float(r["density"])) for r in rows}


# ---- sizes: {profile: (data, model, epochs, steps, T_end, decay_every, delta_t, warm-up and start of Pruning)}
# smoke: 21 iterations of 64 images an epoch; 252 / 88,000 of 30,000; T_end // 20 = 189 // 20
# quick: 352 iterations an epoch; 1,056 / 88,000 of 30,000; 792 // 20
# Pruning: 252 / 88,000 of 3,500 and 700 are 10.02 and 2.0; 1,056 / 88,000 are 42 and 8.4
SIZES = {
    "smoke": ("digits", "wrn-10-1", 12, 252, 189, 86, 9, 10, 2),
    "quick": ("cifar10", "wrn-10-1", 3, 1_056, 792, 360, 39, 42, 8),
    "short": ("cifar10", "wrn-22-2", 25, 8_800, 6_600, 3_000, 100, 350, 70),
    "paper": ("cifar10", "wrn-22-2", 250, 88_000, 66_000, 30_000, 100, 3_500, 700),
}


def test_the_profiles_are_the_four():
    assert tuple(PROFILES) == tuple(SIZES)
    assert all(profile.name == name and profile.about for name, profile in PROFILES.items())


@pytest.mark.parametrize("profile", SIZES)
def test_every_run_has_its_profiles_size(profile):
    data, model, epochs, steps, t_end, decay_every, delta_t, warmup, prune_start = SIZES[profile]
    for spec in ALL[profile]:
        assert (spec.data, spec.model, spec.epochs) == (data, model, epochs)
        assert spec.total_steps == steps * spec.multiplier
        assert spec.t_end == t_end * spec.multiplier
        assert spec.decay_every == decay_every, "N× does not enter: training stretches it itself"
        assert spec.delta_t in (None, delta_t)
        assert (spec.delta_t is None) == (spec.method in ("Dense", "Small-Dense", "Static", "Lottery"))
        pruned = spec.method == "Pruning"
        assert (spec.warmup, spec.prune_start) == ((warmup, prune_start) if pruned else (0, None))
        assert spec.validation == (200 if data == "digits" else 5_000)


def test_the_paper_profile_is_the_papers_recipe():
    """Nothing but method, distribution, density, multiplier and seed differs from the defaults."""
    for spec in ALL["paper"]:
        default = replace(
            spec, decay_every=None, delta_t=None, alpha=None, validation=None, warmup=None, prune_start=None
        )
        assert default == spec


def test_smoke_learns_without_dropout_and_its_resnet_at_a_higher_rate():
    """As notebook 04 says."""
    assert {spec.dropout for section in ("05_1", "05_2") for spec in specs(section, "smoke")} == {0.0}
    assert {spec.learning_rate for spec in specs("05_1", "smoke")} == {0.1}
    assert {spec.learning_rate for spec in specs("05_2", "smoke")} == {0.2}


def test_a_smoke_run_sees_twenty_updates_and_one_more():
    spec = specs(SECTION, "smoke", method="RigL", multiplier=1)[0]
    updates = [t for t in range(spec.t_end) if t % spec.delta_t == spec.delta_t - 1]
    assert len(updates) == 21, "ΔT is rounded down to whole iterations"


# ---- rows


@pytest.mark.parametrize("profile", ["short", "paper"])
def test_every_row_of_table_2_occurs_with_three_seeds(profile):
    wanted = table2()
    assert len(wanted) == 31
    for seed in (0, 1, 2):
        assert wanted <= {row(spec) for spec in ALL[profile] if spec.seed == seed}


def test_quick_is_density_01_with_three_seeds_for_table_2():
    wanted = {r for r in table2() if r[3] in (0.1, 1.0)}
    assert len(wanted) == 16
    for seed in (0, 1, 2):
        assert wanted <= {row(spec) for spec in ALL["quick"] if spec.seed == seed}
    assert {spec.density for spec in ALL["quick"]} == {0.1, 1.0}
    others = [spec for spec in ALL["quick"] if row(spec) not in wanted]
    assert others and {spec.seed for spec in others} == {0}


def test_smoke_is_density_01_with_one_seed():
    assert {spec.density for spec in ALL["smoke"]} == {0.1, 1.0}
    assert {spec.seed for spec in ALL["smoke"]} == {0}
    assert {r for r in table2() if r[3] != 0.2} <= {row(spec) for spec in ALL["smoke"]}


def test_every_profile_has_every_kind_of_row():
    for profile in PROFILES:
        assert {spec.method for spec in ALL[profile]} == METHODS
        assert {spec.init for spec in ALL[profile]} == {None, "Random", "ERK"}
        assert {spec.multiplier for spec in ALL[profile]} == {1, 2}


def test_figure_1_spans_the_densities():
    for method in ("Static", "SET", "RigL"):
        for init in ("Random", "ERK"):
            found = specs(SECTION, "paper", method=method, init=init, multiplier=1)
            assert {spec.density for spec in found} == {0.05, 0.1, 0.2, 0.5}


@pytest.mark.parametrize("profile", SIZES)
def test_a_ticket_comes_from_the_pruning_of_its_seed(profile):
    """The very run of the table: it is trained once."""
    pruned = {(spec.density, spec.seed): spec for spec in ALL[profile] if spec.method == "Pruning"}
    tickets = [spec for spec in ALL[profile] if spec.method == "Lottery"]
    assert tickets and len(tickets) == len(pruned)
    assert all(spec.parent == pruned[spec.density, spec.seed] for spec in tickets)


@pytest.mark.parametrize("profile", SIZES)
def test_each_run_once(profile):
    ids = [spec.run_id for spec in ALL[profile]]
    assert len(ids) == len(set(ids))


def test_no_record_passes_for_another_profiles():
    ids = [spec.config_id for profile in PROFILES for spec in {s.config_id: s for s in ALL[profile]}.values()]
    assert len(ids) == len(set(ids))
    for profile in PROFILES:
        for spec in ALL[profile]:
            assert spec.config_id.startswith("digits_" if profile == "smoke" else "cifar10_")


def test_digits_are_no_evidence():
    assert grids.EVIDENCE == ("paper", "short", "quick")


@pytest.mark.parametrize("profile", SIZES)
def test_headline_rows_come_first(profile):
    """Whoever stops early has the table's head: the reference, then density 0.1 before the others."""
    others = [s for s in ALL[profile] if profile != "paper" or s.method not in ("RigL", "SET")]
    densities = [spec.density for spec in others]
    assert others[0].method == "Dense"
    assert densities.index(0.1) < min((densities.index(d) for d in set(densities) - {0.1, 1.0}), default=10**6)


# ---- filters


def test_filters_select_and_keep_the_order():
    every = ALL["paper"]
    assert specs(SECTION, "paper", method="RigL") == [s for s in every if s.method == "RigL"]
    assert specs(SECTION, "paper", seed=1) == [s for s in every if s.seed == 1]
    assert specs(SECTION, "paper", init=None) == [s for s in every if s.init is None]
    several = specs(SECTION, "paper", method="SET", init="ERK", density=0.2, multiplier=1, seed=2)
    assert [row(spec) for spec in several] == [("SET", "ERK", 1, 0.2)]


@pytest.mark.parametrize(
    ("section", "profile", "filters", "named"),
    [
        ("99", "smoke", {}, "99.*05_1"),
        (SECTION, "huge", {}, "huge.*smoke.*quick.*short.*paper"),
        (SECTION, "", {}, "smoke"),
        (SECTION, "smoke", {"density": 0.2}, r"density 0\.2.*0\.1"),
        (SECTION, "smoke", {"density": "0.1"}, r"density '0\.1'"),
        (SECTION, "smoke", {"method": "Rigl"}, "method 'Rigl'.*RigL"),
        (SECTION, "smoke", {"init": "Uniform"}, "init 'Uniform'.*Random"),
        (SECTION, "smoke", {"seed": 1}, "seed 1.*0"),
        (SECTION, "smoke", {"multiplier": 3}, "multiplier 3.*1, 2"),
        (SECTION, "smoke", {"method": "Dense", "multiplier": 2}, "multiplier 2"),
        (SECTION, "smoke", {"densty": 0.1}, "densty.*density"),
    ],
)
def test_wrong_names_and_values_are_named(section, profile, filters, named):
    with pytest.raises(ValueError, match=named):
        specs(section, profile, **filters)


# ---- published values

TABLES = sorted(file.stem for file in PUBLISHED.glob("*.csv"))


@pytest.mark.parametrize("name", TABLES)
def test_published_values_are_read_as_they_are(name):
    with open(PUBLISHED / f"{name}.csv") as file:
        rows = list(csv.DictReader(file))
    frame = published(name)
    assert list(frame.columns) == list(rows[0])
    assert len(frame) == len(rows) > 0
    for column in frame.columns:
        for value, text in zip(frame[column], [r[column] for r in rows], strict=True):
            if text == "":
                assert value is None, f"{column}: {value!r}"
            elif isinstance(value, str):
                assert value == text
            else:
                assert value == float(text)


def test_published_numbers_are_numbers():
    frame = published("table2_cifar10")
    for column in ("density", "accuracy_mean", "accuracy_std", "train_flops", "test_flops"):
        assert pd.api.types.is_float_dtype(frame[column])
    rigl = frame[(frame.method == "RigL") & (frame.init == "ERK") & (frame.multiplier == 1)]
    assert rigl[rigl.density == 0.1].accuracy_mean.item() == 92.4


def test_unknown_published_values_are_named():
    with pytest.raises(ValueError, match=r"table9.*table2_cifar10"):
        published("table9")


NONE = {(section, profile) for section in ("12", "13") for profile in ("short", "paper")}


def test_every_section_is_a_grid():
    """The text is too short for long runs; structures, which the report has no numbers of, have small ones."""
    assert SECTION in SECTIONS
    for section in SECTIONS:
        for profile in PROFILES:
            assert bool(specs(section, profile)) == ((section, profile) not in NONE)


def test_what_decides_the_central_claim_comes_first():
    first = [(spec.method, spec.density, spec.seed) for spec in grids.specs("05_1", "paper")[:28]]
    assert {method for method, _, _ in first} == {"RigL", "SET"} and {density for _, density, _ in first} == {0.1}
    assert {seed for _, _, seed in first} == set(range(7))
