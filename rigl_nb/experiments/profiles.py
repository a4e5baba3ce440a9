"""The rows of the report's tables, and the sizes at which they are trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rigl_nb.spec import RunSpec

PAPER_STEPS, PAPER_EPOCHS = 88_000, 250
EVIDENCE = ("paper", "short", "quick")  # profiles whose records are published, strongest first


@dataclass(frozen=True)
class Row:
    """One row of a table, or one point of a figure: what is trained, but for the seed."""

    method: str
    init: str | None
    density: float
    multiplier: int = 1  # how many times longer
    parent: "Row | None" = None  # whose final masks it starts from; a Lottery's Pruning need not be named
    data: str = "cifar10"
    fields: Mapping[str, object] = field(default_factory=dict)  # other fields of the spec, such as the learning rate


@dataclass(frozen=True)
class Profile:
    """The same grid at another size: what stands in for the report's data and models, how long, which rows."""

    name: str
    about: str  # data, network and length, in words
    epochs: int
    seeds: tuple[int, ...] = (0, 1, 2)  # of Table 2, and of what names none
    more_seeds: tuple[int, ...] = ()  # of RigL and SET in Table 2: as many as it takes to tell them apart
    table_densities: tuple[float, ...] = (0.1, 0.2)  # of the tables
    figure_densities: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)  # of the figures
    figure_seeds: tuple[int, ...] = (0, 1, 2)
    # report's data -> fields of a spec
    stand_in: Mapping[str, Mapping[str, str | float]] = field(default_factory=dict, hash=False)
    data: tuple[str, ...] = ("cifar10", "cifar100")  # of the report, that it has runs of
    again: tuple[str, ...] | None = (
        None  # methods that CIFAR-100 repeats, once, at the report's length; None: all of it
    )
    inits: tuple[str, ...] = ("Random", "ERK")  # of tuning and of redistribution
    tuned_densities: tuple[float, ...] = (0.1, 0.2, 0.5)  # section 5.3
    trials: int = 15  # of a search for hyperparameters, or for a distribution
    grid: int = 4  # learning rates, and pairs of α and ΔT
    search_seeds: tuple[int, ...] = (0, 1, 2)  # of a search, and of Figure 2
    fresh_seeds: tuple[int, ...] = (3, 4, 5)  # that a search has not seen
    # of CIFAR-100's rows but RigL and SET at the report's length, which are close; None: all
    other_seeds: tuple[int, ...] | None = None
    structured_seeds: tuple[int, ...] = ()  # of section 13

    def length(self, data: str) -> int:
        """Epochs of a run of the data, which may have a length of its own."""
        return self.stand_in.get(data, {}).get("epochs", self.epochs)

    def as_report(self, data: str) -> bool:
        """Whether its runs for this data of the report have that data and the report's network."""
        return not {"data", "model"} & set(self.stand_in.get(data, {}))

    def takes(self, row: Row) -> bool:
        """Whether it has runs of the row."""
        if self.again is not None and row.data == "cifar100":
            return row.method in self.again and row.multiplier == 1 and row.parent is None
        return row.data in self.data

    def spec(self, row: Row, seed: int) -> RunSpec:
        """The run of a row and seed. Step constants keep their share of the training; N× and split do not enter."""
        given = dict(row.fields)
        parent = Row("Pruning", None, row.density, data=row.data) if row.method == "Lottery" else row.parent
        fields = {"data": row.data} | dict(self.stand_in.get(row.data, {}))
        epochs = fields.pop("epochs", self.epochs)
        fields["parent"] = parent and self.spec(parent, seed)
        base = RunSpec(method=row.method, init=row.init, density=row.density, seed=seed, epochs=PAPER_EPOCHS, **fields)
        total = epochs * base.steps_per_epoch
        steps = {name: getattr(base, name) for name in ("decay_every", "warmup", "prune_start")}
        scaled = {name: max(1, round(value * total / PAPER_STEPS)) for name, value in steps.items() if value}
        if base.delta_t:
            updates = math.floor(base.update_until * total) // 20 / 100
            scaled["delta_t"] = max(1, round(given.pop("delta_t", base.delta_t) * min(1.0, updates)))
        return replace(base, epochs=epochs, multiplier=row.multiplier, **scaled, **given)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            "scikit-learn's 8×8 digits, a tiny Wide ResNet or ResNet, 12 epochs",
            epochs=12,
            seeds=(0,),
            table_densities=(0.1,),
            figure_densities=(0.1,),
            figure_seeds=(0,),
            again=("Dense", "RigL", "Pruning", "Lottery"),
            inits=("ERK",),
            tuned_densities=(0.1,),
            trials=4,
            grid=2,
            search_seeds=(0,),
            fresh_seeds=(1,),
            structured_seeds=(0,),
            stand_in={  # for so few iterations: no dropout, and the higher learning rate
                "cifar10": {"data": "digits", "model": "wrn-10-1", "batch_size": 64, "dropout": 0.0},
                "cifar100": {"data": "digits", "model": "resnet14-8", "batch_size": 64, "learning_rate": 0.2},
                "pydoc": {"model": "gru-48", "batch_size": 32, "learning_rate": 0.02, "epochs": 1},
            },
            data=("cifar10", "cifar100", "pydoc"),
        ),
        Profile(
            "quick",
            "CIFAR-10, WRN-10-1, 3 epochs; CIFAR-100, a small ResNet, 5 epochs",
            epochs=3,
            table_densities=(0.1,),
            figure_densities=(0.1,),
            figure_seeds=(0,),
            tuned_densities=(),
            search_seeds=(0,),
            fresh_seeds=(1, 2, 3),
            structured_seeds=(0, 1, 2, 3, 4),
            other_seeds=(0,),
            stand_in={  # small batches and fewer decays: at the report's a dense ResNet gets 14 % of CIFAR-100 right
                "cifar10": {"model": "wrn-10-1"},
                "cifar100": {"model": "resnet14-16", "batch_size": 32, "decay_every": 30_000, "epochs": 5},
                "pydoc": {"batch_size": 32, "epochs": 4},
            },
            data=("cifar10", "cifar100", "pydoc"),
        ),
        Profile("short", "the report's data and networks, 25 epochs", epochs=25),
        Profile(
            "paper",
            "the report's data, networks and length, by its text, 250 epochs",
            epochs=250,
            more_seeds=(3, 4, 5, 6),
        ),
    )
}


def name_of(spec: RunSpec) -> str:
    """The profile that a run is of, by its length; "other" for a run of one's own."""
    return next((size.name for size in PROFILES.values() if size.length(spec.data) == spec.epochs), "other")
