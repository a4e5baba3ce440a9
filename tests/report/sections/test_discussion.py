"""Section 7: answers that hang on a choice, and the chances of the planned runs."""

from dataclasses import replace

import numpy as np
import pytest
from records import made

from rigl_nb.claims import judge, power, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.claims.printed import table2
from rigl_nb.experiments.profiles import PROFILES
from rigl_nb.experiments.rows import Row
from rigl_nb.report.sections import discussion
from rigl_nb.report.sections.ladder import PRIMARY, Rung

CLAIMS = {claim.name: claim for claim in statements.CIFAR10}
CENTRAL, STRICT = CLAIMS["RigL over SET, mean of all densities"], CLAIMS["RigL over SET, each density"]


def rung(claim):
    return Rung("05_1", claim, {"printed": judge.by_print(claim, Printed(table2()))}, table2())


def test_the_central_claim_hangs_on_which_printed_value_is_taken():
    (row,) = discussion.readings([rung(CENTRAL)]).itertuples(index=False)
    assert row.claim == CENTRAL.name and "undecided" in row[1]
    assert row[2] == "92.9 for RigL at 0.2 (Table 5)" and row.then.endswith("supported")
    clear = rung(CLAIMS["SET over Static"])
    assert discussion.readings([clear]).empty
    assert discussion.readings([Rung("04", CENTRAL, {})]).empty, "where nothing is printed nothing is asked"


def test_outcomes_are_compared_before_the_claims_are_tested_together():
    one = rung(CLAIMS["SET over Static"])
    hidden = replace(one.answers["printed"], outcome=judge.UNDECIDED, adjusted=0.2)
    assert discussion.readings([replace(one, answers={"printed": hidden})]).empty


def test_float32_against_bfloat16_is_least_squares():
    """Two configurations in both precisions, one in one; their design matrix solved by numpy."""
    table = [("RigL", 0.1, "fp32", (55.0, 54.0)), ("RigL", 0.1, "bf16", (53.0,)), ("SET", 0.1, "fp32", (52.5,))]
    table += [("SET", 0.1, "bf16", (52.0, 51.0)), ("Static", 0.1, "fp32", (50.0, 50.6, 50.3))]
    records, design, values = [], [], []
    for method, density, precision, accuracies in table:
        for accuracy in accuracies:
            spec = PROFILES["quick"].spec(Row(method, "Random", density), seed=len(records))
            one = made(spec, test_accuracy=accuracy)
            records.append(replace(one, execution=one.execution | {"precision": precision}))
            design.append([*(method == name for name in ("RigL", "SET", "Static")), precision == "fp32"])
            values.append(accuracy)
    x, y = np.array(design, float), np.array(values)
    beta, (squares,), *_ = np.linalg.lstsq(x, y, rcond=None)
    ((network, (found, both)),) = discussion.by_precision(records).items()
    assert (network, both, found.freedom) == (("quick", "wrn-10-1"), 2, len(y) - 4)
    assert found.value == pytest.approx(beta[-1])
    assert found.error == pytest.approx(np.sqrt(squares / (len(y) - 4) * np.linalg.inv(x.T @ x)[-1, -1]))
    assert discussion.by_precision(records[-3:]) == {}, "one precision alone tells nothing"


def test_chances_come_from_the_planned_seeds():
    seeds = discussion.planned()
    assert seeds[Cell("RigL", "ERK", 0.1)] == 7 and seeds[Cell("Static", "Random", 0.1)] == 3
    mean, strict = discussion.prospects(map(rung, (CENTRAL, STRICT)), {"cifar10": 0.2}).itertuples(index=False)
    assert mean.claim == PRIMARY[CENTRAL.name] and strict.claim == STRICT.name
    assert mean.seeds == "3 to 7" and mean.pairs == 8
    assert mean.chance == pytest.approx(power.prospect(CENTRAL, 0.2, mean[3], seeds))
    assert strict.chance < 0.01 < 0.8 < mean.chance
