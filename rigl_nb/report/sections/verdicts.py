"""The claims of each section, judged by the published records and by the printed values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from rigl_nb import paths
from rigl_nb.claims import instability, judge, statements
from rigl_nb.claims.judge import Claim, Verdict
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables
from rigl_nb.report.sections import accuracy_by_flops, redistribution, shared, tuning
from rigl_nb.runs.store import Store


@dataclass(frozen=True)
class Judged:
    """Verdicts of our `paper` runs, and of the printed values as far as these allow one."""

    ours: tuple[Verdict, ...]
    published: tuple[Verdict, ...]

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(self.ours + other.ours, self.published + other.published)


def judged(name: str) -> Judged:
    """The verdicts on a section's claims, in the order of its notebook."""
    if name not in JUDGES:
        raise ValueError(f"section {name!r} has no claims: sections with claims are {', '.join(JUDGES)}")
    return JUDGES[name]()


def _by_cells(found: tuple[Claim, ...], runs: pd.DataFrame, printed: pd.DataFrame | None) -> Judged:
    theirs = () if printed is None else tuple(judge.judge_published(claim, printed) for claim in found)
    return Judged(tuple(judge.judge(claim, runs) for claim in found), theirs)


def _paper(name: str) -> pd.DataFrame:
    return shared.evidence(name)["paper"]


def table2() -> pd.DataFrame:
    """Table 2 with the values of Table 4 that it does not print."""
    return judge.with_reference(grids.published("table2_cifar10"), grids.published("table4_tuning"))


def _settings() -> Judged:
    runs = statements.with_original(_paper("04"), grids.published("table1"))
    return _by_cells(statements.SETTINGS, runs, None)  # Table 1 prints no spread


def _cifar10() -> Judged:
    runs, printed = _paper("05_1"), table2()
    unstable = Judged(
        tuple(instability.judge(claim, runs) for claim in statements.INSTABILITY),
        tuple(instability.judge_published(claim, printed) for claim in statements.INSTABILITY),
    )
    return _by_cells(statements.CIFAR10, runs, printed) + unstable


def _cifar100() -> Judged:
    return _by_cells(statements.CIFAR100, _paper("05_2"), grids.published("table3_cifar100").assign(data="cifar100"))


def _tuning() -> Judged:
    runs = tuning.claim_runs(tuning.collect(grids.PROFILES["paper"], Store(paths.results())))
    return _by_cells(statements.TUNING, runs, tuning.printed_cells(grids.published("table4_tuning")))


def _equal_flops() -> Judged:
    matched = accuracy_by_flops.matched(grids.PROFILES["paper"])
    at_equal_flops = statements.equal_flops({(r.report, r.budget): r.density for r in matched.itertuples()})
    figure3 = accuracy_by_flops.published(grids.published("figure3_flops"), grids.DATA, matched)
    parts = (table2().assign(data="cifar10"), grids.published("table3_cifar100").assign(data="cifar100"))
    runs = pd.concat([_paper("05_1"), _paper("05_2")])
    return _by_cells(at_equal_flops, _paper("06_1"), figure3) + _by_cells(
        statements.EQUAL_COUNT, runs, pd.concat(parts)
    )


def _redistribution() -> Judged:
    printed = redistribution.printed(grids.published("table5_redistribution"), grids.DATA)
    return _by_cells(statements.REDISTRIBUTION, _paper("06_2"), printed)


JUDGES: dict[str, Callable[[], Judged]] = {
    "04": _settings,
    "05_1": _cifar10,
    "05_2": _cifar100,
    "05_3": _tuning,
    "06_1": _equal_flops,
    "06_2": _redistribution,
}


def counts(boards: Mapping[str, Judged]) -> pd.DataFrame:
    """How many claims of each section got which verdict, by the printed values and by our runs; the sum last.

    ✓ reproduced, ✗ contradicted, ? inconclusive. A claim without enough runs, or without printed values, has none.
    """
    rows = {}
    for name, board in boards.items():
        row = {("", "claims"): len(board.ours)}
        for source, verdicts in (("published", board.published), ("ours", board.ours)):
            words = [verdict.verdict for verdict in verdicts]
            for word in (judge.REPRODUCED, judge.CONTRADICTED, judge.INCONCLUSIVE):
                row[source, tables.SYMBOLS[word]] = words.count(word)
        rows[shared.number(name)] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("section")
    table.loc["all"] = table.sum()
    return table
