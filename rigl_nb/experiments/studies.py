"""Searches for the best setting, as grids that grow: Optuna's ask and tell, replayed from the records that exist.

The records are the storage: whoever holds them goes on with the same next trial, also after a kill, and several
processes that share them train the seeds of one trial side by side.
"""

import functools
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.runs.record import Record
from rigl_nb.spec import RunSpec

RANDOM_TRIALS = 10  # before TPE chooses: Optuna's own default
Find = Callable[[RunSpec], Record | None]
Values = Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """A search for the values with the best mean validation accuracy; the report's sampler, TPE.

    `row` says what is trained with given values. A range is (lowest, highest, step); whole numbers stay whole.
    """

    name: str
    row: Callable[[Values], Row]
    ranges: Mapping[str, tuple[float, float, float]]
    first: tuple[Values, ...] = ()  # tried before the sampler chooses
    finalists: bool = False  # whether the best and the first are trained again, with seeds that the search has not seen


@dataclass(frozen=True)
class Trial:
    """Values that were tried, with the runs that try them; the score is None until all have ended."""

    values: Values
    specs: tuple[RunSpec, ...]
    score: float | None


def trials(study: Study, profile: Profile, find: Find) -> list[Trial]:
    """The trials that have ended, in order, and the next one where some are left."""
    optuna = _optuna()
    if optuna is None:
        warnings.warn(f"Optuna is not installed: the trials of {study.name} are left out", stacklevel=2)
        return []
    kinds = optuna.distributions
    space = {
        name: (kinds.IntDistribution if isinstance(low, int) else kinds.FloatDistribution)(low, high, step=step)
        for name, (low, high, step) in study.ranges.items()
    }
    search = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=0)
    )
    for values in study.first:
        search.enqueue_trial(dict(values))
    done: list[Trial] = []
    while len(done) < profile.trials and not (done and done[-1].score is None):
        asked = search.ask(space)
        values = {name: round(value, 6) for name, value in asked.params.items()}
        specs = tuple(profile.spec(study.row(values), seed) for seed in profile.search_seeds)
        records = [find(spec) for spec in specs]
        ended = all(records)
        score = fmean(record.history[-1]["validation_accuracy"] for record in records) if ended else None
        done.append(Trial(values, specs, score))
        if ended:
            search.tell(asked, score)
    return done


def runs(study: Study, profile: Profile, find: Find) -> tuple[list[RunSpec], list[RunSpec]]:
    """The runs that the results so far decide, and stand-ins of the same cost for those that they do not."""
    found = trials(study, profile, find)
    specs = [spec for trial in found for spec in trial.specs]
    left = (profile.trials - len(found)) * len(profile.search_seeds)
    last = finalists(study, profile, found)
    if study.finalists and not last:
        left += (len(study.first) + 1) * len(profile.fresh_seeds)
    return specs + last, specs[:1] * left


def best(found: list[Trial]) -> Trial | None:
    """The ended trial with the highest score, the earlier of equal ones; None before any has ended."""
    return max((trial for trial in found if trial.score is not None), key=lambda trial: trial.score, default=None)


def finalists(study: Study, profile: Profile, found: list[Trial]) -> list[RunSpec]:
    """The runs of the first trials' values and of the best ones with fresh seeds, once the search has ended."""
    if not study.finalists or not complete(profile, found):
        return []
    values = [*study.first, best(found).values]
    unique = [value for place, value in enumerate(values) if value not in values[:place]]
    return [profile.spec(study.row(value), seed) for value in unique for seed in profile.fresh_seeds]


def complete(profile: Profile, found: list[Trial]) -> bool:
    """Whether every trial has ended."""
    return len(found) == profile.trials and found[-1].score is not None


@functools.cache
def _optuna():
    """Optuna, quiet; None where it is not installed, as on a machine that only trains."""
    if importlib.util.find_spec("optuna") is None:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
