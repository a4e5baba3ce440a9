"""Made-up records of section 5.3: a small profile, and everything that its searches and its grid ask for."""

from dataclasses import replace

from records import made, result

from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.grids import PROFILES
from rigl_nb.report.sections import tuning

# The report's data and cells, but one epoch, three trials, two learning rates, two pairs, two seeds.
SMALL = replace(PROFILES["paper"], epochs=1, trials=3, grid=2, seeds=(0, 1), search_seeds=(0, 1))


def save(store, spec, validation, test=None):
    """A run's record with these accuracies, test equal to validation where it is not given."""
    history = ({**result(spec).history[-1], "validation_accuracy": validation},)
    record = made(spec, history=history, test_accuracy=validation if test is None else test)
    store.path(spec).parent.mkdir(parents=True, exist_ok=True)
    store.path(spec).write_text(record.to_json())


def missing(profile, store):
    """The runs of the section that follow from the records and have none."""
    specs = [spec for one in grids.tuning(profile) for spec in studies.runs(one, profile, store.find)[0]]
    every = [*specs, *grids.table4(profile), *grids.learning_rates(profile)]
    return [spec for spec in every if not store.path(spec).exists()]


def fill(store, accuracy, profile=SMALL):
    """Save records of `accuracy(spec)`, (validation, test), until nothing is missing."""
    while todo := missing(profile, store):
        for spec in todo:
            save(store, spec, *accuracy(spec))
    return tuning.collect(profile, store)


def hill(spec):
    """Validation accuracy with its top near α = 0.4; the test accuracy has its top at the other end."""
    wave = 0.02 * spec.seed
    if spec.alpha is None:
        return 94 + wave, 93.9 + wave
    return 92 - 10 * (spec.alpha - 0.4) ** 2 + wave, 91 + spec.alpha + wave


def flat(spec):
    """Every setting as good as any other, but for 0.2: a point worse."""
    return (90.0 + spec.seed - (spec.learning_rate == grids.FAST),) * 2


def search(find):
    """The trials of the first search."""
    return studies.trials(grids.tuning(SMALL)[0], SMALL, find)
