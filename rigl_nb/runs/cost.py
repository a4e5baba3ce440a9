"""What training the missing runs would cost, from the runs that exist."""

import functools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from rigl_nb import flops, methods, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.runs.record import Machine, Record
from rigl_nb.runs.schedule import schedule
from rigl_nb.spec import RunSpec

HOUR, DAY, YEAR = 3600, 86400, 365.25 * 86400  # seconds
SHOWN = {"learning_rate": "η", "alpha": "α", "delta_t": "ΔT"}  # what sets rows of one name apart


@dataclass(frozen=True)
class Price:
    """Seconds of one device for a batch, and the hardware whose records say so."""

    seconds: float
    hardware: str
    untimed: tuple[str, ...] = ()  # kinds without a record there: their part is by FLOPs alone, which say little
    guessed: float = 0.0  # the share of that part

    @property
    def told(self) -> bool:
        """Whether records tell nearly all of it."""
        return self.guessed < 0.25

    def __str__(self) -> str:
        hours = float(f"{self.seconds / HOUR:.2g}")  # more digits would say more than is known
        many = f" of one device, {hours:,.0f} device-hours," if self.seconds >= 3 * DAY else ""
        return f"about {duration(self.seconds)}{many} at the speed measured on {self.hardware}"


@dataclass(frozen=True)
class Kind:
    """What takes one time an image, whatever its masks are: they only simulate sparsity, narrow layers are small."""

    model: str
    data: str
    share: float = 1.0  # of the network's FLOPs, where its layers are narrow

    def __str__(self) -> str:
        narrow = f", narrow to {self.share:g} of its FLOPs," if self.share < 1 else ""
        return f"{self.model}{narrow} on {self.data}"

    @functools.cached_property
    def flops(self) -> float:
        """FLOPs of one prediction, unmasked."""
        return self.share * _inference(self.model, self.data)

    def nearest(self, kinds: Iterable["Kind"]) -> "Kind":
        """The kind of nearest FLOPs: of images for images, if there is one, as a GRU's go otherwise."""
        text = SOURCES[self.data].text
        return min(kinds, key=lambda k: (SOURCES[k.data].text is not text, abs(math.log(k.flops / self.flops))))


def kind(spec: RunSpec) -> Kind:
    """The kind of network that the run trains."""
    return Kind(spec.model, spec.data, spec.density if methods.get(spec.method).narrow else 1.0)


def estimate(specs: Iterable[RunSpec], records: Iterable[Record], machine: Machine | None = None) -> Price | None:
    """Cost of the runs at the median speed of like records: the same machine first, then the same kind of network.

    A kind without a record takes the speed of the kind whose FLOPs are nearest. None when nothing is asked for, or
    there is no record at all.
    """
    specs, records = list(specs), list(records)
    if not specs or not records:
        return None
    known = [record for record in records if record.machine == machine] or records
    timed: dict[Kind, list[float]] = {}
    for record in known:
        timed.setdefault(kind(record.spec), []).append(record.seconds / work(record.spec))
    like = {wanted: wanted if wanted in timed else wanted.nearest(timed) for wanted in map(kind, specs)}
    each = [(kind(spec), work(spec) * median(timed[like[kind(spec)]])) for spec in specs]
    seconds = sum(time for _, time in each)
    guessed = sum(time for wanted, time in each if wanted not in timed) / seconds
    names = sorted({record.machine.hardware for record in known})
    return Price(seconds, " or ".join(names), tuple(sorted(map(str, like.keys() - timed.keys()))), guessed)


def plan(
    todo: list[RunSpec],
    records: Iterable[Record],
    machine: Machine,
    workers: int,
    future: Iterable[RunSpec] = (),
    start: float = 0.0,
) -> list[str]:
    """What is to train, in the order of training, as lines: a line for each row of a table, with runs and cost.

    `future` are runs of the same cost as some that will follow from results, `start` the seconds until workers train.
    """
    records, rows = list(records), {}
    for spec in todo:
        rows.setdefault(spec.config_id, []).append(spec)
    names = {config_id: _name(specs[0]) for config_id, specs in rows.items()}
    width = max(map(len, names.values()), default=0)
    whole, lines, each = estimate([*todo, *future], records, machine), [], {}
    if whole and whole.guessed == 1:
        whole = None
    for config_id, specs in rows.items():
        cost = estimate(specs, records, machine)
        each |= {spec.run_id: cost.seconds / len(specs) for spec in specs if cost}
        one = duration(each[specs[0].run_id]) if cost and whole else "?"
        lines.append(f"  {names[config_id]:{width}} {len(specs):3} × {one}")
    if todo:
        lines.append(f"cost: {whole}" if whole else "cost: unknown until a first run is timed")
        if whole and workers > 1:
            parents = {spec.run_id: spec.parent.run_id for spec in todo if spec.parent}
            later = (whole.seconds - sum(each.values())) / workers
            ends = start + schedule(each, workers, parents).makespan + later
            lines[-1] += f"; {workers} at a time take {duration(ends)}"
        if whole and whole.untimed:
            lines[-1] += f"; {' and '.join(whole.untimed)}: by FLOPs, never timed here"
    return lines


def _name(spec: RunSpec) -> str:
    """The row in words, down to what sets it apart from rows of the same method."""
    special = [f"{sign} {getattr(spec, field):g}" for field, sign in SHOWN.items() if _special(spec, field)]
    size = [f"density {spec.density:g}", spec.data, spec.model, f"{spec.total_epochs} epochs"]
    return ", ".join([spec.label, *size, *special])


def _special(spec: RunSpec, field: str) -> bool:
    """Whether the run has another value than its method's, or, of ΔT, another α."""
    usual = RunSpec(init="ERK", density=0.1)
    value = getattr(spec, field)
    if field == "delta_t":
        return value is not None and _special(spec, "alpha")
    return value is not None and value != getattr(usual, field)


def work(spec: RunSpec) -> float:
    """FLOPs of the run as it is computed: forward and backward of the unmasked network over all images."""
    images = (SOURCES[spec.data].train - spec.validation) * spec.total_epochs
    return 3 * images * kind(spec).flops


def duration(seconds: float) -> str:
    """A time for people: "40 s", "12 min", "3.5 h", "12 days", "7.3 years"."""
    for least, size, unit in ((YEAR, YEAR, "years"), (3 * DAY, DAY, "days"), (HOUR, HOUR, "h"), (60, 60, "min")):
        if seconds >= least * (1 - 1 / 120):  # what would round to 60 of the smaller unit
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds:.0f} s"


def seconds(text: str) -> float:
    """The seconds of "90s", "9m", "1.5h"; ValueError says how to write a time."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not written or not float(written[1]):
        raise ValueError(f"{text!r} is no time: write 90s, 9m or 1.5h")
    return float(written[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[written[2]]


@functools.cache
def _inference(model: str, data: str) -> float:
    source = SOURCES[data]
    network = models.build(model, source.classes, channels=source.shape[0])
    return flops.inference_flops(network, source.example)
