"""What a run is: everything that is claimed of it. How it is carried out is no part of this (`execution`)."""

import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np

from rigl_nb import checks, methods, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.masking import patterns
from rigl_nb.published_code import BEHAVIOURS, check_structure

SCHEMA = 1  # raised when an algorithm computes something else: old records are then not found
FIELDS = ("model", "validation", "weight_decay", "decay_every", "warmup", "label_smoothing")
ADAM = {"optimizer": "Adam", "learning_rate": 6e-3, "nesterov": False, "clip": 1.0}
RECIPES = {  # what the report sets per data set (sections 4.1 to 4.3); 704 steps are its 2 epochs of warm-up
    "cifar10": dict(zip(FIELDS, ("wrn-22-2", 5000, 5e-4, 30_000, 0, 0.0), strict=True)),
    "cifar100": dict(zip(FIELDS, ("resnet50", 5000, 1e-4, 20_000, 704, 0.1), strict=True)),
    "digits": dict(zip(FIELDS, ("wrn-10-1", 200, 5e-4, 30_000, 0, 0.0), strict=True)),
    "pydoc": dict(zip(FIELDS, ("gru-128", 400, 0.0, 30_000, 0, 0.0), strict=True)) | ADAM,
}
# fields that the first runs did without: only other values are written down
LATER = {"optimizer": "SGD", "clip": 0.0, "structure": "weight", "channels_multiple": 1}
OF_PARENT = ("Mask", "Densities")  # initialisations by another run: its final masks, or only how dense its layers are
UPDATES = {  # fields that only some methods have: default, and which
    "alpha": (0.3, lambda method: method.growth),
    "delta_t": (100, lambda method: method.moves),
    "prune_start": (700, lambda method: method.start == "dense"),
}
WHOLE = {"epochs": 1, "multiplier": 1, "batch_size": 1, "decay_every": 1, "delta_t": 1, "channels_multiple": 1}
WHOLE |= {"seed": 0, "warmup": 0, "validation": 0, "prune_start": 0}  # whole numbers, and the least that is allowed


@dataclass(frozen=True)
class RunSpec:
    """One training run. A field left at None takes the value of the data set's recipe or of the method.

    Steps are iterations. `decay_every` and the end of mask updates stretch with `multiplier`
    (the report's 2×, 3×); `delta_t`, `warmup` and `prune_start` do not. `parent` is the run whose final masks this one
    starts from: a Lottery's Pruning, or the one that init Mask or Densities means. Raises ValueError, naming the value
    and what is allowed.
    """

    data: str = "cifar10"  # digits, cifar10, cifar100 or pydoc
    model: str | None = None  # wrn-22-2, resnet50, gru-128, … (`models.build`)
    method: str = "RigL"  # a name in `methods.METHODS`
    init: str | None = None  # sparsity distribution: Random, ER or ERK; with a parent: Mask or Densities
    density: float | None = None  # share of the weights that stay, above 0 and at most 1
    alpha: float | None = None  # initial drop fraction
    delta_t: int | None = None  # iterations between mask updates
    epochs: int = 250  # before the multiplier
    multiplier: int = 1  # how many times longer than the method's usual training
    seed: int = 0  # of weights, first masks, order of batches, growth, augmentation, dropout
    batch_size: int = 128
    learning_rate: float | None = None  # at the start, or after the warm-up
    momentum: float = 0.9  # of SGD; Adam's β₁
    nesterov: bool | None = None  # of SGD
    weight_decay: float | None = None  # on weights with more than one dimension
    decay_every: int | None = None  # iterations after which the learning rate is multiplied by `decay_factor`
    decay_factor: float = 0.2
    warmup: int | None = None  # iterations of linear warm-up
    label_smoothing: float | None = None  # share of the target spread over all classes
    dropout: float | None = None  # share of activations, inside the blocks of a Wide ResNet
    validation: int | None = None  # images held out of the training set; 0 for Table 1
    update_until: float = 0.75  # share of the training after which masks stay (T_end)
    prune_start: int | None = None  # first iteration that may prune
    exponent: float = 1.0  # of ERK's ratio: 0 gives every layer the same density
    published_code: tuple[str, ...] = ()  # behaviours of the report's code that differ from the rules
    parent: "RunSpec | None" = None  # the run that this one starts from
    optimizer: str | None = None  # SGD or Adam
    clip: float | None = None  # largest norm of all gradients together; 0: any
    structure: str = "weight"  # what moves as one: weight, kernel, channel, fan-in or 2:4
    channels_multiple: int = 1  # structure channel: live ones of each group are a multiple of so many

    def __post_init__(self):
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), np.generic):  # which JSON does not know
                object.__setattr__(self, field.name, value.item())
        checks.choice("data", self.data, SOURCES)
        method = methods.get(self.method)
        if method.start == "dense":
            self._default("warmup", RECIPES[self.data]["warmup"] or 3500)
        for name, value in ({"learning_rate": 0.1, "nesterov": True} | LATER | RECIPES[self.data]).items():
            self._default(name, value)
        models.check_name(self.model)
        self._default("dropout", 0.3 if self.model.startswith("wrn") else 0.0)
        for name, (value, meant) in UPDATES.items():
            if meant(method):
                self._default(name, value)
            elif (given := getattr(self, name)) is not None:
                raise ValueError(f"{name} {given!r} is not allowed: method {self.method} has no use for it")
        alone = None if method.masked or method.narrow else 1.0
        self._default("density", self.parent.density if self.parent else alone)
        code = self.published_code
        names = tuple(code) if hasattr(code, "__iter__") and not isinstance(code, str) else (None,)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"published_code {code!r} is not allowed: it must be a tuple of names, such as ('ceil',)")
        object.__setattr__(self, "published_code", tuple(sorted(set(names))))
        for field in fields(self):  # 1 and 1.0 are one value: they must give one id
            if float in (field.type, *get_args(field.type)) and type(getattr(self, field.name)) is int:
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        self._check(method)
        self._check_parent(method)
        checks.choice("structure", self.structure, patterns.STRUCTURES)
        patterns.get(self.structure).check(method, self.init, self.density)
        if self.channels_multiple != 1 and self.structure != "channel":
            what = f"structure {self.structure} counts no channels, take structure='channel'"
            raise ValueError(f"channels_multiple {self.channels_multiple} is not allowed: {what}")
        check_structure(self.structure, self.published_code)
        if self.parent and self.structure != "weight":
            raise ValueError(f"parent is not allowed with structure {self.structure}: its masks are of weights")

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _check(self, method: methods.Method) -> None:
        for field, low in WHOLE.items():
            if field not in UPDATES or getattr(self, field) is not None:
                checks.at_least(field, getattr(self, field), low)
        for field in ("learning_rate", "decay_factor"):
            checks.within(field, getattr(self, field), 0, math.inf)
        for field in ("weight_decay", "momentum", "label_smoothing", "dropout"):
            checks.within(field, getattr(self, field), 0, 1, low_closed=True)
        checks.choice("optimizer", self.optimizer, ("SGD", "Adam"))
        checks.within("clip", self.clip, 0, math.inf, low_closed=True)
        if self.nesterov and (self.optimizer == "Adam" or self.momentum == 0):
            other = "momentum 0" if self.optimizer == "SGD" else "optimizer Adam"
            raise ValueError(f"nesterov True is not allowed with {other}: set nesterov=False")
        if method.needs_momentum and self.momentum == 0:
            raise ValueError(f"momentum 0 is not allowed: method {self.method} ranks by it")
        checks.within("update_until", self.update_until, 0, 1, high_closed=True)
        checks.within("exponent", self.exponent, -math.inf, math.inf)
        for behaviour in self.published_code:
            checks.choice("published_code", behaviour, BEHAVIOURS)
        if self.published_code and not method.masked:
            raise ValueError(f"published_code is not allowed: method {self.method} has no mask")
        if self.validation >= SOURCES[self.data].train:
            raise ValueError(f"validation {self.validation} leaves nothing of {SOURCES[self.data].train} images")
        if self.density is None:
            raise ValueError(f"density is missing: method {self.method} needs one above 0 and at most 1")
        checks.within("density", self.density, 0, 1, high_closed=True)
        if self.density != 1 and not (method.masked or method.narrow):
            raise ValueError(f"density {self.density} is not allowed: method {self.method} has density 1")
        if method.growth:
            checks.within("alpha", self.alpha, 0, 1, low_closed=True, high_closed=True)
        if method.start == "dense":
            last = self.t_end + self.delta_t - 1 - self.t_end % self.delta_t
            if not self.prune_start < self.t_end <= last < self.total_steps:
                given = f"delta_t {self.delta_t} and prune_start {self.prune_start}"
                raise ValueError(f"{given} are not allowed: {self.total_steps} iterations never reach the density")

    def _check_parent(self, method: methods.Method) -> None:
        parent, heir = self.parent, method.start == "parent" or self.init in OF_PARENT
        if method.start == "sparse":
            checks.choice("init", self.init, (*DISTRIBUTIONS, *OF_PARENT))
        elif self.init is not None:
            raise ValueError(f"init {self.init!r} is not allowed: method {self.method} takes no distribution")
        if self.exponent != 1 and self.init != "ERK":
            raise ValueError(f"exponent {self.exponent} is not allowed: only init ERK has one")
        if heir is not (parent is not None):
            what = ("missing", "starts from") if heir else ("not allowed", "has no use for")
            way = f"method {self.method} with init {self.init} {what[1]} another run's masks"
            raise ValueError(f"parent is {what[0]}: {way}")
        for field in ("data", "model", "seed", "density") if heir else ():
            if (mine := getattr(self, field)) != (theirs := getattr(parent, field)):
                raise ValueError(f"{field} {mine!r} is not the parent's, {theirs!r}")
        if heir and not methods.get(parent.method).masked:
            raise ValueError(f"parent {parent.label!r} is not allowed: method {parent.method} has no mask")

    @property
    def steps_per_epoch(self) -> int:
        """Iterations an epoch; the last, smaller batch counts."""
        return math.ceil((SOURCES[self.data].train - self.validation) / self.batch_size)

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole run, the multiplier included."""
        return self.epochs * self.multiplier

    @property
    def total_steps(self) -> int:
        """Iterations of the whole run."""
        return self.total_epochs * self.steps_per_epoch

    @property
    def t_end(self) -> int:
        """First iteration at which masks no longer change."""
        return math.floor(self.update_until * self.total_steps)

    @property
    def initialisation(self) -> str | None:
        """The distribution, or whose masks or densities: "ERK", "ERK^0.5", "densities of RigL-SM (ERK)"."""
        if self.init not in OF_PARENT:
            return self.init if self.exponent == 1 else f"{self.init}^{self.exponent:g}"
        return ("densities of " if self.init == "Densities" else "") + f"{self.parent.method} ({self.parent.init})"

    @property
    def label(self) -> str:
        """The row's name in the report's tables, "RigL 2× (ERK)"; "channel RigL"."""
        longer = f" {self.multiplier}×" if self.multiplier > 1 else ""
        what = f"{self.structure} " if self.structure != "weight" else ""
        name = f"{what}{self.method}{longer}" + (
            f" ({self.initialisation})" if self.init not in (None, "Random") else ""
        )
        return name + (f" with {', '.join(self.published_code)}" if self.published_code else "")

    @functools.cached_property
    def config_id(self) -> str:
        """Readable label and a hash of the fields that differ from the defaults; equal for all seeds."""
        mine, default = self.to_dict(), _default()
        mine["parent"] = self.parent and self.parent.config_id
        changed = {k: v for k, v in mine.items() if k != "seed" and v != default.get(k)}
        digest = hashlib.sha256(json.dumps([SCHEMA, changed], sort_keys=True).encode()).hexdigest()
        what = "" if self.structure == "weight" else self.structure
        words = [self.data, self.model, what, self.method, self.init, f"{self.density:g}", f"{self.total_epochs}ep"]
        return re.sub(r"[^\w.-]+", "-", "_".join(word for word in words if word)) + f"_{digest[:8]}"

    @property
    def run_id(self) -> str:
        """Where the run's record lies below a record root, without the file's ending."""
        return f"{self.config_id}/seed-{self.seed}"

    def to_dict(self) -> dict:
        """All fields, resolved, for JSON; those of `LATER` only where they differ."""
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        mine = {name: value for name, value in mine.items() if name not in LATER or value != LATER[name]}
        return mine | {"parent": self.parent and self.parent.to_dict()}

    @classmethod
    def from_dict(cls, values: dict) -> "RunSpec":
        """The spec of `to_dict`; ValueError names a field that does not exist."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"field {sorted(unknown)[0]!r} is unknown in a run's specification")
        parent = values.get("parent")
        return cls(**values | {"parent": cls.from_dict(parent) if isinstance(parent, dict) else parent})


@functools.cache
def _default() -> dict:
    return RunSpec(init="ERK", density=0.1).to_dict()
