"""What a search for a better distribution of equal cost found (section 6.3), and how much of it was luck."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.estimate import student
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.model import Runs
from rigl_nb.claims.power import could_show
from rigl_nb.claims.spread import pooled
from rigl_nb.claims.statements import best_over
from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.profiles import Profile
from rigl_nb.report.figures import tables
from rigl_nb.report.figures.style import METHOD_STYLE, STYLE, Picture
from rigl_nb.report.sections import shared
from rigl_nb.report.sections.beyond_family import REFERENCE, member, signed
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec

ENDS = {"Uniform": 0.0, "ERK": 1.0}  # of the family that was tried first; this Uniform covers the first layer, too
BEST = "best of the search"
ACCENT = "#D55E00"


@dataclass(frozen=True)
class Search:
    """What is there of a profile's search.

    `trials`: those that have ended, in order: exponent, density, mean validation accuracy (`score`). `runs`: those with
    a record (`Store.frame`), `phase` "search" or "fresh", by their seed; `broken` ones count apart. `best`: the
    exponent with the highest score, None until the search has ended. `others`: the runs of Table 2, which tell how much
    accuracy differs between seeds.
    """

    profile: Profile
    trials: pd.DataFrame
    runs: pd.DataFrame
    best: float | None
    others: pd.DataFrame | None = None

    @property
    def fresh(self) -> pd.DataFrame:
        """The runs with seeds that the search has not seen."""
        return self.runs[self.runs["phase"] == "fresh"]

    @property
    def finalists(self) -> dict[str, Cell]:
        """The best of the search, the ends and the reference. A best that is not known yet has no runs."""
        unknown = Cell("RigL", BEST, grids.BUDGETS[0])
        best = unknown if self.best is None else _cell(member(self.profile, self.best))
        ends = {name: _cell(member(self.profile, exponent)) for name, exponent in ENDS.items()}
        return {BEST: best} | ends | {REFERENCE: _cell(grids.spread_reference(self.profile)[0])}


def search(profile: Profile, results: Store) -> Search:
    """The search of a profile as far as records are there."""
    (study,) = grids.distributions(profile)
    found = studies.trials(study, profile, results.find)
    done = [(t.values["exponent"], t.specs[0].density, t.score) for t in found if t.score is not None]
    trials = pd.DataFrame(done, columns=["exponent", "density", "score"], index=range(1, len(done) + 1))
    specs = [spec for trial in found for spec in trial.specs]
    specs += studies.finalists(study, profile, found) + grids.spread_reference(profile)
    runs = results.frame({spec.run_id: spec for spec in specs}.values())  # a sampler may ask for the same values again
    runs["phase"] = np.where(runs["seed"].isin(profile.fresh_seeds), "fresh", "search")
    best = studies.best(found).values["exponent"] if studies.complete(profile, found) else None
    others = results.frame(grids.table2(profile))
    return Search(profile, trials, Runs(runs, others=others).present, best, others)


def strongest(searches: Iterable[Search]) -> Search:
    """The first search that has ended, else the first with a trial, else the first."""
    return min(searches, key=lambda one: (one.best is None, one.trials.empty))


def noise(found: Search) -> tuple[float, int]:
    """Standard deviation of validation accuracy between seeds, pooled over settings, and its degrees of freedom.

    The runs of Table 2 are in it, broken runs are not. The best of the search counts with its fresh seeds apart: its
    score was chosen for being high.
    """
    runs = _unbroken(Runs(found.runs, others=found.others).all).reset_index(drop=True)
    best = runs.index.isin(found.finalists[BEST].rows(runs).index)
    cells = runs.groupby([runs["config_id"], runs["phase"].where(best, "")]).ngroup()
    variance, freedom = pooled(runs["validation_accuracy"].to_numpy(float), cells.to_numpy())
    return math.sqrt(variance) if freedom else math.nan, freedom


def _unbroken(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[~runs["broken"]]


def half_width(found: Search, n: int) -> float:
    """Half the 95 % interval of a mean of n validation accuracies, by the pooled noise; NaN where it is not known."""
    std, freedom = noise(found)
    return student(freedom) * std / math.sqrt(n) if freedom else math.nan


def finals(found: Search) -> pd.DataFrame:
    """The finalists: score in the search, validation accuracy with fresh seeds, `lost` from one to the other, test.

    `error`: standard error of `lost`, from the pooled noise. `broken`: fresh runs that are in no number of the row. The
    best has a row once it is known.
    """
    rows, one = {}, noise(found)[0]
    for name, cell in found.finalists.items():
        if name == BEST and found.best is None:
            continue
        runs = cell.rows(found.runs)
        first, all_fresh = (runs[runs["phase"] == phase] for phase in ("search", "fresh"))
        fresh = _unbroken(all_fresh)
        means = [part["validation_accuracy"].mean() for part in (first, fresh)]
        error = one * math.sqrt(1 / len(first) + 1 / len(fresh)) if len(first) and len(fresh) else math.nan
        test = fresh["test_accuracy"]
        exponent = ({BEST: found.best} | ENDS).get(name, math.nan)
        lost, out = means[0] - means[1], len(all_fresh) - len(fresh)
        rows[name] = (exponent, cell.density, *means, lost, error, test.mean(), test.std(), len(test), out)
    columns = ["exponent", "density", "searched", "fresh", "lost", "error", "mean", "std", "n", "broken"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def answers(found: Search) -> dict[str, Answer]:
    """Is the best of the search better than each rival? By the rival's name, from fresh seeds alone."""
    best, rivals = found.finalists[BEST], {k: cell for k, cell in found.finalists.items() if k != BEST}
    asked, runs = [name for name, cell in rivals.items() if cell != best], Runs(found.fresh, others=found.others)
    claims = zip(asked, best_over(best, rivals), strict=True)
    return {name: judge.by_runs(claim, runs, found.profile.name) for name, claim in claims}


def outcome(found: Search) -> str:
    """The result in words, a sentence a line, as far as there is one."""
    name, size = found.profile.name, found.profile.trials
    if found.best is None:
        return f"{name}: {len(found.trials)} of {size} trials have ended. There is no result yet."
    table, judged = finals(found), answers(found)
    best, unchosen = table.loc[BEST], table.loc[list(judged), "lost"].dropna()
    lines = [f"{name}: of {size} trials, exponent {signed(found.best)} scored highest."]
    if best["n"]:
        error = "" if math.isnan(best["error"]) else f" ± {best['error']:.2f}"
        ends = " to ".join(signed(lost, "+.2f") for lost in (unchosen.min(), unchosen.max()))
        lines.append(
            f"Its validation accuracy: {best['searched']:.2f} % in the search, {best['fresh']:.2f} % with fresh seeds. "
            f"Lost: {signed(best['lost'], '+.2f')}{error} points."
            + (f" The rows that were not chosen lost {ends}." if len(unchosen) else "")
        )
    lines.append(_answer(judged))
    if name != grids.EVIDENCE[0]:
        lines.append(
            f"These runs ({shared.words(found.profile, {'cifar10'})}) decide nothing for the report's training."
        )
    return "\n".join(lines)


def differences(judged: Mapping[str, Answer]) -> pd.DataFrame:
    """The answers as texts, a row for each rival: difference and interval with one decimal, and what they say.

    `could show`: the true difference that four of five such experiments would tell from zero. `broken apart`: how many
    runs more are broken, and the difference with them.
    """
    words = {judge.SUPPORTED: "better", judge.OPPOSITE: "worse"}
    rows = []
    for rival, answer in judged.items():
        gain, low, high = (signed(value, "+.1f") for value in (answer.estimate.value, *answer.interval))
        shown = could_show(answer.estimate)
        known = (f"{low} to {high}", f"{shown:.1f}") if not math.isnan(shown) else (tables.NONE, tables.NONE)
        numbers = (gain, *known) if answer.pairs else (tables.NONE,) * 3
        apart = f"{sum(answer.broken)}: {signed(answer.whole.value, '+.1f')}" if answer.whole else tables.NONE
        known = "not told apart" if answer.pairs else judge.NOT_ENOUGH
        rows.append(
            (f"best − {rival}", *numbers, answer.n - sum(answer.broken), apart, words.get(answer.outcome, known))
        )
    columns = ["", "points", "95 % interval", "could show", "runs", "broken apart", "the best is"]
    return pd.DataFrame(rows, columns=columns)


def _answer(judged: Mapping[str, Answer]) -> str:
    """Whether the search beat both ends of the family."""
    itself = [rival for rival in ENDS if rival not in judged]
    ends = {rival: answer for rival, answer in judged.items() if rival in ENDS}
    worse = [rival for rival, answer in ends.items() if answer.outcome == judge.OPPOSITE]
    unshown = [rival for rival, answer in ends.items() if answer.outcome in (judge.UNDECIDED, judge.NO_DIFFERENCE)]
    if not all(answer.pairs for answer in ends.values()):
        return "Answer: not enough runs."
    if worse:
        return f"Answer: no. The search was misled: its best is worse than {' and '.join(worse)}, beyond the noise."
    if itself:
        return f"Answer: no. The search found nothing better than {itself[0]}."
    if unshown:
        return f"Answer: not shown. The noise hides whether the best is better than {' and '.join(unshown)}."
    return "Answer: yes. The best of the search is better than both ends, beyond the noise."


def _cell(spec: RunSpec) -> Cell:
    return Cell(spec.method, spec.initialisation, spec.density, data=spec.data)


@rc_context(STYLE)
def score_by_exponent(found: Search) -> Figure | Markdown:
    """Validation accuracy over the exponent: each trial with its number, the band of noise, and fresh seeds.

    The band is where 95 % of the scores would lie if all distributions were equally good, around the median. Without
    a trial, a sentence.
    """
    if found.trials.empty:
        return Markdown("There is nothing to draw yet: no trial has ended.")
    figure = Picture(4.0)
    axis = figure.subplots()
    axis.set(xlabel="exponent of ERK's ratio", ylabel="validation accuracy (%)", xlim=(-0.6, 1.6))
    for name, exponent in ENDS.items():
        axis.axvline(exponent, color="0.8", linewidth=1, zorder=0)
        axis.text(exponent, 1.0, name, transform=axis.get_xaxis_transform(), ha="center", va="bottom")
    scores, middle = found.trials["score"], found.trials["score"].median()
    if not math.isnan(half := half_width(found, len(found.profile.search_seeds))):
        axis.axhspan(middle - half, middle + half, color="0.93", zorder=0, label="noise: 95 % of equal trials")
    look = {"linestyle": "", "marker": "o", "color": METHOD_STYLE["RigL"]["color"], "markersize": 5}
    axis.plot(found.trials["exponent"], scores, label="a trial (number: order)", **look)
    for place, numbers in found.trials.groupby(["exponent", "score"]).groups.items():  # the same twice: "6, 15"
        words = ", ".join(map(str, numbers))
        axis.annotate(words, place, (0, 6), textcoords="offset points", ha="center", fontsize=7)
    _draw_finals(axis, found)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_finals(axis: Axes, found: Search) -> None:
    table = finals(found)
    if BEST in table.index:
        best = table.loc[BEST]
        ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": ACCENT, "linestyle": ""}
        axis.plot(best["exponent"], best["searched"], label=BEST, **ring)
    members = table[table["exponent"].notna() & table["fresh"].notna()]
    if len(members):
        look = {"marker": "D", "markersize": 5, "markerfacecolor": "none", "color": ACCENT, "linestyle": ""}
        error = [half_width(found, n) for n in members["n"]]
        axis.errorbar(
            members["exponent"], members["fresh"], error, capsize=3, label="mean of fresh seeds, 95 %", **look
        )
    if not math.isnan(value := table.loc[REFERENCE, "fresh"]):
        axis.axhline(value, color="0.3", linestyle="--", linewidth=1, label=f"{REFERENCE}, mean of fresh seeds")
