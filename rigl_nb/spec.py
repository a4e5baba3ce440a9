"""What a run is (`RunSpec`, its identity) and how it is carried out (`Execution`, no part of its identity)."""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import get_args

import torch

from rigl_nb import methods, models
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.sources import SOURCES

SCHEMA = 1  # raised when an algorithm computes something else: old records are then not found
RECIPES = {  # what the report sets per data set (sections 4.1 to 4.3); 704 steps are its 2 epochs of warm-up
    "cifar10": {
        "model": "wrn-22-2",
        "validation": 5000,
        "weight_decay": 5e-4,
        "decay_every": 30_000,
        "warmup": 0,
        "label_smoothing": 0.0,
    },
    "cifar100": {
        "model": "resnet50",
        "validation": 5000,
        "weight_decay": 1e-4,
        "decay_every": 20_000,
        "warmup": 704,
        "label_smoothing": 0.1,
    },
    "digits": {
        "model": "wrn-10-1",
        "validation": 200,
        "weight_decay": 5e-4,
        "decay_every": 30_000,
        "warmup": 0,
        "label_smoothing": 0.0,
    },
}


@dataclass(frozen=True)
class RunSpec:
    """One training run. A field left at None takes the value of the data set's recipe or of the method.

    Steps are iterations of 128 images. `decay_every` and the end of mask updates stretch with `multiplier`
    (the report's 2×, 3×); `delta_t` and `warmup` do not. Raises ValueError, naming the value and what is allowed.
    """

    data: str = "cifar10"
    model: str | None = None
    method: str = "RigL"
    init: str | None = None  # sparsity distribution: Random, ER or ERK
    density: float | None = None
    alpha: float | None = None  # initial drop fraction
    delta_t: int | None = None  # iterations between mask updates
    epochs: int = 250
    multiplier: int = 1
    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float | None = None  # on weights with more than one dimension
    decay_every: int | None = None
    decay_factor: float = 0.2
    warmup: int | None = None
    label_smoothing: float | None = None
    dropout: float | None = None
    validation: int | None = None  # images held out of the training set; 0 for Table 1
    update_until: float = 0.75  # share of the training after which masks stay (T_end)

    def __post_init__(self):
        _choice("data", self.data, SOURCES)
        method = methods.get(self.method)
        for name, value in RECIPES[self.data].items():
            self._default(name, value)
        models.check_name(self.model)
        self._default("dropout", 0.3 if self.model.startswith("wrn") else 0.0)
        if method.growth:
            self._default("alpha", 0.3)
            self._default("delta_t", 100)
        if not method.masked and not method.narrow:
            self._default("density", 1.0)
        for field in fields(self):  # 1 and 1.0 are one value: they must give one id
            if float in (field.type, *get_args(field.type)) and type(getattr(self, field.name)) is int:
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        self._check(method)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _check(self, method: methods.Method) -> None:
        for field in ("epochs", "multiplier", "batch_size", "decay_every"):
            _at_least(field, getattr(self, field), 1)
        for field in ("seed", "warmup", "validation"):
            _at_least(field, getattr(self, field), 0)
        for field in ("learning_rate", "decay_factor"):
            _within(field, getattr(self, field), 0, math.inf)
        for field in ("weight_decay", "momentum", "label_smoothing", "dropout"):
            _within(field, getattr(self, field), 0, 1, low_closed=True)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov True is not allowed with momentum 0: set nesterov=False")
        _within("update_until", self.update_until, 0, 1, high_closed=True)
        if self.density is None:
            raise ValueError(f"density is missing: method {self.method} needs one above 0 and at most 1")
        _within("density", self.density, 0, 1, high_closed=True)
        if method.masked:
            _choice("init", self.init, DISTRIBUTIONS)
        elif self.init is not None:
            raise ValueError(f"init {self.init!r} is not allowed: method {self.method} has no mask")
        if self.density != 1 and not (method.masked or method.narrow):
            raise ValueError(f"density {self.density} is not allowed: method {self.method} has density 1")
        if method.growth:
            _within("alpha", self.alpha, 0, 1, low_closed=True, high_closed=True)
            _at_least("delta_t", self.delta_t, 1)
        elif (self.alpha, self.delta_t) != (None, None):
            raise ValueError(f"alpha and delta_t are not allowed: method {self.method} never updates a mask")
        if self.validation >= SOURCES[self.data].train:
            raise ValueError(f"validation {self.validation} leaves nothing of {SOURCES[self.data].train} images")

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
    def label(self) -> str:
        """The row's name in the report's tables, "RigL 2× (ERK)"."""
        longer = f" {self.multiplier}×" if self.multiplier > 1 else ""
        return f"{self.method}{longer}" + (f" ({self.init})" if self.init not in (None, "Random") else "")

    @property
    def config_id(self) -> str:
        """Readable label and a hash of the fields that differ from the defaults; equal for all seeds."""
        mine, default = self.to_dict(), RunSpec(init="ERK", density=0.1).to_dict()
        changed = {k: v for k, v in mine.items() if k != "seed" and v != default[k]}
        digest = hashlib.sha256(json.dumps([SCHEMA, changed], sort_keys=True).encode()).hexdigest()
        words = [self.data, self.model, self.method, self.init, f"{self.density:g}", f"{self.total_epochs}ep"]
        return re.sub(r"[^\w.-]+", "-", "_".join(word for word in words if word)) + f"_{digest[:8]}"

    @property
    def run_id(self) -> str:
        """Where the run's record lies below a record root, without the file's ending."""
        return f"{self.config_id}/seed-{self.seed}"

    def to_dict(self) -> dict:
        """All fields, resolved, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "RunSpec":
        """The spec of `to_dict`; ValueError names a field that does not exist."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"field {sorted(unknown)[0]!r} is unknown in a run's specification")
        return cls(**values)


@dataclass(frozen=True)
class Execution:
    """How a run is carried out; recorded with it, but the same run whatever it says."""

    device: str = "cpu"
    precision: str = "bf16"  # of activations, under autocast; weights, masks and updates are float32
    channels_last: bool = True
    threads: int | None = None  # of the CPU; None leaves torch's own number
    graph: bool = False  # replay iterations as CUDA graphs
    sharing: int = 1  # runs that take turns on the device

    def __post_init__(self):
        _choice("precision", self.precision, ("bf16", "fp32"))
        _at_least("sharing", self.sharing, 1)
        if self.graph and not self.device.startswith("cuda"):
            raise ValueError(f"graph True is not allowed on device {self.device!r}: CUDA graphs need a CUDA device")

    @classmethod
    def best(cls, threads: int | None = None, sharing: int = 1) -> "Execution":
        """What suits this machine: its GPU where it has one; bf16 only where the processor computes in it."""
        gpu = torch.cuda.is_available()
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if gpu
            else torch.cpu.get_capabilities().get("avx512_bf16", False)
        )
        precision = "bf16" if native else "fp32"
        return cls("cuda" if gpu else "cpu", precision, threads=threads, graph=gpu, sharing=sharing)


def _choice(name: str, value: object, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is unknown: allowed are {', '.join(allowed)}")


def _at_least(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} {value!r} is not allowed: it must be a whole number of at least {low}")


def _within(name, value, low, high, low_closed=False, high_closed=False) -> None:
    above = isinstance(value, int | float) and (value >= low if low_closed else value > low)
    if not (above and (value <= high if high_closed else value < high)):
        left, right = ("at least" if low_closed else "above"), ("at most" if high_closed else "below")
        raise ValueError(f"{name} {value!r} is not allowed: it must be {left} {low} and {right} {high}")
