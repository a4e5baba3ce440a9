"""Every claim at every scale of evidence: what the printed values, small trainings and the report's own length say."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from rigl_nb import paths
from rigl_nb.claims import instability, judge, printed, statements
from rigl_nb.claims.claim import Claim, places
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.experiments import grids
from rigl_nb.experiments.profiles import name_of
from rigl_nb.report.sections import accuracy_by_flops, redistribution, shared, tuning
from rigl_nb.runs.store import Store

Evidence = Mapping[str, Mapping[str, pd.DataFrame]]  # runs by section and profile
# The front page's claims in plain words, by the claim's name. They are tested together (Holm).
PRIMARY = {
    "RigL over SET, mean of all densities": "RigL is better than SET on CIFAR-10, on average over the densities",
    "CIFAR-100: RigL over SET, mean of all densities": "RigL is better than SET on CIFAR-100, on average",
    "RigL 2× over SNFS, which costs more": "trained twice as long, RigL is better than SNFS, at a lower cost",
    "RigL 2× (ERK) like Pruning or better": "trained twice as long, RigL is as good as Pruning or better",
    "ERK over Random": "ERK is better than Random at equal density",
    "CIFAR-10: Random over ERK at equal FLOPs": "Random is better than ERK at equal FLOPs, CIFAR-10",
    "CIFAR-100: Random over ERK at equal FLOPs": "Random is better than ERK at equal FLOPs, CIFAR-100",
    "RigL at 0.5 as good as Dense": "RigL at density 0.5 is as good as Dense",
    "tuned like the reference": "tuned α and ΔT are as good as 0.3 and 100",
    "CIFAR-10: redistribution over RigL": "redistribution helps RigL (Random)",
}


@dataclass(frozen=True)
class Question:
    """Claims of one section, and what answers them: runs by scale, printed values, fixed numbers."""

    claims: Mapping[str, tuple[Claim, ...]]  # by scale: densities of equal cost are a profile's own
    runs: Mapping[str, pd.DataFrame]
    table: pd.DataFrame | None = None
    known: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """One claim, and its answers by scale, in the order of the scales; only where a scale has something to say."""

    section: str
    claim: Claim
    answers: Mapping[str, Answer]
    table: pd.DataFrame | None = field(default=None, compare=False)  # the printed values that were asked


def rungs_of(name: str) -> list[Rung]:
    """The claims of a section with their answers, in the order of its notebook; all claims are tested together."""
    if name not in QUESTIONS:
        raise ValueError(f"section {name!r} has no claims: sections with claims are {', '.join(QUESTIONS)}")
    return [rung for rung in rungs() if rung.section == name]


def rungs() -> list[Rung]:
    """All claims of the report with their answers, section by section."""
    there = {name_of(record.spec) for record in Store(paths.results()).records()}
    profiles = [name for name in grids.EVIDENCE if name in there]
    evidence = {name: shared.evidence(name, profiles) for name in QUESTIONS}
    noise = {scale: _tables(evidence, scale) for scale in profiles}
    claims: list[tuple[str, Claim, pd.DataFrame | None]] = []
    answers: dict[str, dict[str, Answer]] = {scale: {} for scale in judge.SCALES}
    for name, questions in QUESTIONS.items():
        for question in questions(evidence):
            claims += [(name, claim, printed_rows(question, claim)) for claim in question.claims[judge.FULL]]
            for scale, found in _answered(question, noise).items():
                answers[scale] |= {answer.claim.name: answer for answer in found}
    scales = [scale for scale, found in answers.items() if any(answer.pairs for answer in found.values())]
    for scale in scales:
        together = judge.together(answers[scale].values(), PRIMARY)
        answers[scale] = {answer.claim.name: answer for answer in together if answer.pairs or scale == judge.FULL}
    of = {c.name: {s: answers[s][c.name] for s in scales if c.name in answers[s]} for _, c, _ in claims}
    return [Rung(name, claim, of[claim.name], table) for name, claim, table in claims]


def printed_rows(question: Question, claim: Claim) -> pd.DataFrame | None:
    """The printed values of the claim's data, one network's, or None where nothing is printed."""
    rows = question.table
    return rows if rows is None or "data" not in rows else rows[rows["data"].isin({cell.data for cell in claim.cells})]


def _tables(evidence: Evidence, scale: str) -> pd.DataFrame:
    """All runs of the report's tables at a scale, with the report's hyperparameters: they tell how much runs differ."""
    frames = [evidence[name][scale] for name in ("05_1", "05_2", "06_1", "06_2")]
    return pd.concat([frame for frame in frames if len(frame)])


def _answered(question: Question, noise: Mapping[str, pd.DataFrame]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    if question.table is not None:
        tables = {}
        for claim in question.claims[judge.FULL]:
            rows = printed_rows(question, claim)
            table = tables.setdefault(tuple(rows.index), Printed(rows))
            ask = instability.by_print if isinstance(claim, instability.Instability) else judge.by_print
            found.setdefault(judge.PRINTED, []).append(ask(claim, table))
    for scale, frame in question.runs.items():
        if not frame["present"].any():
            continue
        others, of = noise[scale], places(frame)
        networks = {
            model: Runs(part, question.known, others[others["model"] == model])
            for model, part in frame.groupby("model", sort=False)
        }
        for claim in question.claims[scale]:
            if there := [place for cell in claim.cells for place in of.get(cell, [])]:
                ask = instability.by_runs if isinstance(claim, instability.Instability) else judge.by_runs
                found.setdefault(scale, []).append(ask(claim, networks[frame["model"].iloc[there[0]]], scale))
    return found


def _same(claims: tuple[Claim, ...]) -> dict[str, tuple[Claim, ...]]:
    return dict.fromkeys(grids.EVIDENCE, claims)


def _settings(evidence: Evidence) -> Iterable[Question]:
    known = statements.originals(grids.published("table1"))
    yield Question(_same(statements.SETTINGS), evidence["04"], known=known)  # Table 1 prints no spread


def _cifar10(evidence: Evidence) -> Iterable[Question]:
    claims = statements.CIFAR10 + statements.HIGHEST + statements.INSTABILITY + statements.IMPACT
    yield Question(_same(claims), evidence["05_1"], printed.table2())


def _cifar100(evidence: Evidence) -> Iterable[Question]:
    yield Question(_same(statements.CIFAR100), evidence["05_2"], printed.table3())


def _tuning(evidence: Evidence) -> Iterable[Question]:
    results = Store(paths.results())
    runs = {name: tuning.claim_runs(tuning.collect(grids.PROFILES[name], results)) for name in evidence["05_3"]}
    yield Question(_same(statements.TUNING), runs, tuning.printed_cells(grids.published("table4_tuning")))


def _equal_flops(evidence: Evidence) -> Iterable[Question]:
    profiles = (judge.FULL, *evidence["06_1"])
    matched = {name: accuracy_by_flops.matched(grids.PROFILES[name]) for name in profiles}
    claims = {
        name: statements.equal_flops({(r.report, r.budget): r.density for r in rows.itertuples()})
        for name, rows in matched.items()
    }
    figure3 = accuracy_by_flops.published(grids.published("figure3_flops"), grids.DATA, matched[judge.FULL])
    yield Question(claims, evidence["06_1"], figure3)
    parts = [evidence[name] for name in ("05_1", "05_2")]
    runs = {name: pd.concat([part[name] for part in parts if len(part[name])]) for name in evidence["05_1"]}
    both = pd.concat([printed.table2().assign(data="cifar10"), printed.table3()])
    yield Question(_same(statements.EQUAL_COUNT), runs, both)


def _redistribution(evidence: Evidence) -> Iterable[Question]:
    table5 = redistribution.printed(grids.published("table5_redistribution"), grids.DATA)
    yield Question(_same(statements.REDISTRIBUTION), evidence["06_2"], table5)


def _structured(evidence: Evidence) -> Iterable[Question]:
    yield Question(_same(statements.STRUCTURED), evidence["13"])


QUESTIONS: dict[str, Callable[[Evidence], Iterable[Question]]] = {
    "04": _settings,
    "05_1": _cifar10,
    "05_2": _cifar100,
    "05_3": _tuning,
    "06_1": _equal_flops,
    "06_2": _redistribution,
    "13": _structured,
}


def counts(rungs: Iterable[Rung]) -> pd.DataFrame:
    """How many claims got which word at each scale, a row each; our own questions are not counted."""
    words: dict[tuple[str, str], int] = {}
    for rung in rungs:
        for scale, answer in rung.answers.items():
            if not rung.claim.own:
                words[scale, answer.word] = words.get((scale, answer.word), 0) + 1
    rows = [(scale, word, n) for (scale, word), n in sorted(words.items(), key=lambda one: _order(*one[0]))]
    return pd.DataFrame(rows, columns=["scale", "answer", "claims"])


def _order(scale: str, word: str) -> tuple[int, str]:
    return judge.SCALES.index(scale), word
