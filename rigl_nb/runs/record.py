"""What a run leaves: one JSON file with its specification, its numbers and where they come from."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass

from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.methods import METHODS
from rigl_nb.runs.origin import hardware
from rigl_nb.spec import RunSpec

FORMAT = 1
DIGITS = 6  # significant ones kept of the numbers per epoch
NUMBERS = ("test_accuracy", "test_flops", "train_flops", "dense_flops", "seconds", "images_per_second")
COLUMNS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "drop_fraction")
ORIGIN = ("commit", "dirty", "hardware")  # of the provenance: what publishing and the cost estimate read
HOW = ("device", "precision")  # of the execution, likewise
TYPES = {"commit": str | None, "dirty": bool | None, "hardware": str, "device": str, "precision": str}


def collapse_limit(data: str) -> float:
    """Up to which test accuracy, in percent, a run on images counts as collapsed: twice what guessing gives."""
    return 2 * 100 / SOURCES[data].classes


class RecordError(ValueError):
    """A record's file is damaged or does not say what its name promises."""


class UnknownMethodError(RecordError):
    """A record is of a method that somebody registered elsewhere."""


@dataclass(frozen=True)
class Machine:
    """What sets the speed of a run: the hardware, and the precision that it computes in."""

    hardware: str
    precision: str

    @classmethod
    def of(cls, execution: Execution) -> "Machine":
        """The machine of runs that are carried out here in this way."""
        return cls(hardware(execution.device), execution.precision)


@dataclass(frozen=True)
class Record:
    """A finished run. Accuracies in percent, FLOPs as fractions of the dense model's, `seconds` of training.

    Of text, accuracy is the next character's, and what counts is `test_bits`; a record of images has neither these nor
    `validation_bits` in its history.

    Two runs are equal when `spec` and `numbers()` are; `execution` and `provenance` say how and where they were made.
    """

    spec: RunSpec
    history: tuple[dict, ...]  # one row an epoch
    active: tuple[dict, ...]  # epoch and active weights per layer, where they changed
    test_accuracy: float
    test_flops: float  # of inference at the end
    train_flops: float  # of the whole training
    dense_flops: float  # of the dense model's inference, per image, absolute
    seconds: float
    images_per_second: float
    execution: dict  # device, precision, … (`execution.Execution`)
    provenance: dict  # versions, hardware, commit, date
    test_bits: float | None = None  # per character of a text; None where there is none, or where it is not finite

    @property
    def machine(self) -> Machine:
        """What the run was timed on."""
        return Machine(self.provenance["hardware"], self.execution["precision"])

    @property
    def collapsed(self) -> bool:
        """Whether the run ended at, or near, what guessing gives: `collapse_limit`, or a lost loss.

        Of text: no better than guessing by how frequent each character is.
        """
        source = SOURCES[self.spec.data]
        if source.text:
            return self.test_bits is None or self.test_bits >= source.baseline
        return self.test_accuracy <= collapse_limit(self.spec.data) or self.history[-1]["loss"] is None

    def numbers(self) -> dict:
        """Everything that must be equal when the run is repeated on the same machine."""
        names = ("history", "active", "test_accuracy", "test_flops", "train_flops", "dense_flops", "test_bits")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> str:
        """The record's file: history and counts by column, one column a line."""
        content = {"format": FORMAT, "run_id": self.spec.run_id} | asdict(self)
        content["spec"], content["history"] = self.spec.to_dict(), _columns(self.history)
        if self.test_bits is None:
            del content["test_bits"]
        lines = [f'"{key}": {_lines(value)}' for key, value in (content | {"digest": _digest(content)}).items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """Read `to_json`'s text; RecordError says what is wrong with it."""
        try:
            content = json.loads(text, parse_constant=_refuse)
            said = content.pop("digest", None)  # older records have none
            edited = said is not None and said != _digest(content)
            if (form := content.pop("format")) != FORMAT:
                raise RecordError(f"record format {form!r}, but this version reads format {FORMAT}: update the code")
            run_id = content.pop("run_id")
            if (method := content["spec"]["method"]) not in METHODS:
                raise UnknownMethodError(f"method {method!r} is unknown here: register it to read its records")
            content["spec"] = RunSpec.from_dict(content["spec"])
            content["history"] = _rows(content["history"])
            content["active"] = tuple(content["active"])
            record = cls(**content)
            _check(record, run_id)
            if edited:
                raise RecordError("its content is not what was written: somebody or something changed it")
        except RecordError:
            raise
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise RecordError(f"not a record ({type(error).__name__}: {error})") from error
        return record


def _digest(content: dict) -> str:
    """What tells whether a record was changed; a guard against slips, not against forgers."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def _check(record: Record, run_id: object) -> None:
    if run_id != record.spec.run_id:
        raise RecordError(f"run_id {run_id!r} is not that of its specification, {record.spec.run_id!r}")
    if len(record.history) != record.spec.total_epochs:
        raise RecordError(f"{len(record.history)} epochs recorded of {record.spec.total_epochs}")
    text = SOURCES[record.spec.data].text
    for part, needed, there in (
        ("history", (*COLUMNS, "validation_bits") if text else COLUMNS, record.history[0]),
        ("execution", HOW, record.execution),
        ("provenance", ORIGIN, record.provenance),
    ):
        if lacking := [name for name in needed if name not in there]:
            raise RecordError(f"its {part} has no {', '.join(lacking)}")
    for name, kind in TYPES.items():
        if not isinstance(value := (record.provenance | record.execution)[name], kind):
            raise RecordError(f"{name} {value!r} is of the wrong type")
    if [row["epoch"] for row in record.history] != list(range(1, len(record.history) + 1)):
        raise RecordError("its epochs are not counted from 1")
    if wrong := [v for row in record.history for v in row.values() if v is not None and not _is_number(v)]:
        raise RecordError(f"{wrong[0]!r} in its history is no number")
    if not record.active or not all(_is_amount(n) for entry in record.active for n in entry["counts"].values()):
        raise RecordError("its numbers of active weights are missing or wrong")
    for name in NUMBERS:
        if not _is_amount(value := getattr(record, name)):
            raise RecordError(f"{name} {value!r} is no number of at least 0")
    if record.test_bits is not None and not (text and _is_amount(record.test_bits)):
        raise RecordError(f"test_bits {record.test_bits!r} is no number of at least 0, or {record.spec.data} no text")
    if record.test_accuracy > 100:
        raise RecordError(f"test accuracy {record.test_accuracy!r} is no percentage")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_amount(value: object) -> bool:
    return _is_number(value) and value >= 0


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def from_result(spec: RunSpec, result, execution, provenance: dict) -> Record:
    """The record of a `train.Result`; numbers that are not finite become null."""
    numbers = {name: getattr(result, name) for name in Record.__dataclass_fields__ if hasattr(result, name)}
    numbers["history"] = tuple({k: _rounded(v) for k, v in row.items()} for row in result.history)
    numbers |= {k: _rounded(numbers[k]) for k in ("seconds", "images_per_second", "test_bits")}
    return Record(spec=spec, execution=asdict(execution), provenance=provenance, **numbers)


def _rounded(value):
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _columns(rows: tuple[dict, ...]) -> dict:
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


def _rows(columns: dict) -> tuple[dict, ...]:
    return tuple(dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _lines(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in value.items()) + "\n}"
        )
    return json.dumps(value, allow_nan=False)
