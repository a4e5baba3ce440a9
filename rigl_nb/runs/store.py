"""A folder of records: find one, save one, all of them as a table."""

import io
import json
import math
import os
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rigl_nb.data.sources import SOURCES
from rigl_nb.methods import METHODS
from rigl_nb.runs.record import Record, RecordError, UnknownMethodError
from rigl_nb.spec import RunSpec

OF_SPEC = (
    "data",
    "model",
    "method",
    "structure",
    "init",
    "density",
    "multiplier",
    "alpha",
    "delta_t",
    "epochs",
    "seed",
)
MASKS = ".masks.npz"
CORRECT = ".correct"
MARK = ".mark-"
LEFT = (MASKS, CORRECT, ".json", ".failed.json")  # what a run leaves, as it is written: a record says it is all there
OF_RECORD = ("test_accuracy", "train_flops", "test_flops", "seconds", "test_bits")


@dataclass(frozen=True)
class Store:
    """Records below `root`, each at `config_id/seed-N.json`; a folder that does not exist holds none.

    `damaged` is told of a damaged record, which then counts as missing; without it, RecordError names the file.
    """

    root: Path
    damaged: Callable[[RecordError], None] | None = field(default=None, compare=False)

    def path(self, spec: RunSpec, ending: str = ".json") -> Path:
        """Where the run's record lies; other endings name what belongs to it."""
        return Path(self.root) / f"{spec.run_id}{ending}"

    def find(self, spec: RunSpec) -> Record | None:
        """The run's record; None when there is none."""
        return self._read(self.path(spec)) if self.path(spec).exists() else None

    def _read(self, file: Path) -> Record | None:
        try:
            return _parsed(file)
        except RecordError as error:
            if not self.damaged or isinstance(error, UnknownMethodError):
                raise
            self.damaged(error)
            return None

    def save(self, record: Record) -> Path:
        """Write a record in one step: another process sees all of it or nothing."""
        path = self.path(record.spec)
        write(path, record.to_json())
        self.path(record.spec, ".failed.json").unlink(missing_ok=True)
        return path

    def save_masks(self, spec: RunSpec, masks: Mapping[str, np.ndarray], weights: str) -> None:
        """Keep a run's final masks beside its record, a bit each, and the digest of its initial weights."""
        bits = np.packbits(np.concatenate([mask.ravel() for mask in masks.values()]))
        shapes = json.dumps({name: mask.shape for name, mask in masks.items()})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, bits=bits, shapes=shapes, weights=weights)
        write(self.path(spec, MASKS), buffer.getvalue())

    def find_masks(self, spec: RunSpec) -> tuple[dict[str, np.ndarray], str] | None:
        """What `save_masks` kept; None when there is none, RecordError when the file is damaged."""
        path = self.path(spec, MASKS)
        if not path.exists():
            return None
        try:
            with np.load(path) as content:
                bits, weights = np.unpackbits(content["bits"]).astype(bool), str(content["weights"])
                shapes = {name: tuple(shape) for name, shape in json.loads(str(content["shapes"])).items()}
            ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
            parts = np.split(bits[: ends[-1]], ends[:-1])
            return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}, weights
        except (OSError, EOFError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
            raise RecordError(f"{path} is damaged ({error}). Remove it to train the run again") from error

    def save_correct(self, spec: RunSpec, correct: np.ndarray) -> None:
        """Keep which test images a run predicts correctly beside its record, a bit each, in canonical order."""
        write(self.path(spec, CORRECT), np.packbits(correct).tobytes())

    def find_correct(self, spec: RunSpec) -> np.ndarray | None:
        """What `save_correct` kept, bool (images,); of text by character, (windows, length).

        None where there is none, as beside older records; RecordError where it does not fit its record.
        """
        path, record, source = self.path(spec, CORRECT), self.find(spec), SOURCES[spec.data]
        if record is None or not path.exists():
            return None
        shape = (source.test, *(source.shape if source.text else ()))
        bits = np.unpackbits(np.frombuffer(path.read_bytes(), np.uint8)).astype(bool)
        n, way_out = math.prod(shape), "Remove it and its record to train the run again"
        if len(bits) != 8 * math.ceil(n / 8) or bits[n:].any():
            raise RecordError(f"{path} is damaged: its {len(bits)} bits are not those of {n} predictions. {way_out}")
        if (accuracy := 100 * int(bits.sum()) / n) != record.test_accuracy:
            raise RecordError(
                f"{path} is damaged: {accuracy} % of its predictions are correct, but the record's test accuracy is "
                f"{record.test_accuracy} %. {way_out}"
            )
        return bits[:n].reshape(shape)

    def finished(self, spec: RunSpec) -> bool:
        """Whether the run's record is there, and its masks where it has any."""
        return self.find(spec) is not None and (not METHODS[spec.method].masked or self.path(spec, MASKS).exists())

    def files(self, spec: RunSpec) -> dict[str, bytes]:
        """What the run left, by the files' endings: `keep` puts it into another machine's store."""
        return {ending: path.read_bytes() for ending in LEFT if (path := self.path(spec, ending)).exists()}

    def keep(self, spec: RunSpec, files: Mapping[str, bytes]) -> None:
        """Write what `files` gave elsewhere, but for masks and record that are there already."""
        for ending in LEFT:
            decides = ".json" if ending == CORRECT else ending  # it must fit its record, which comes after it
            if ending in files and (ending == LEFT[-1] or not self.path(spec, decides).exists()):
                write(self.path(spec, ending), files[ending])
        if ".json" in files:
            self.path(spec, LEFT[-1]).unlink(missing_ok=True)

    def mark(self) -> str:
        """The name of a file that only this folder has: who sees it elsewhere sees the same folder.

        Two that make one at the same time may get different ones; both are there to be seen.
        """
        names = sorted(path.name for path in Path(self.root).glob(f"{MARK}*"))
        if not names:
            names = [f"{MARK}{uuid.uuid4().hex}"]
            write(Path(self.root) / names[0], "")
        return names[0]

    def records(self) -> list[Record]:
        """All records of methods that are known here, ordered by run id."""
        found = []
        for file in sorted(Path(self.root).glob("*/seed-*.json")):
            if not file.name.endswith(".failed.json"):
                with suppress(UnknownMethodError):
                    found.append(self._read(file))
        return [record for record in found if record]

    def damage(self) -> list[RecordError]:
        """What is wrong with the records here, and with predictions that do not fit theirs."""
        found: list[RecordError] = []
        for record in replace(self, damaged=found.append).records():
            try:
                self.find_correct(record.spec)
            except RecordError as error:
                found.append(error)
        return found

    def fail(self, spec: RunSpec, reason: str, trace: str) -> None:
        """Keep why a run crashed, until it is trained."""
        content = json.dumps({"reason": reason, "traceback": trace}, indent=1)
        write(self.path(spec, ".failed.json"), content + "\n")

    def failure(self, spec: RunSpec) -> str | None:
        """Why the run crashed last time; None when it did not, RecordError when the file is damaged."""
        path = self.path(spec, ".failed.json")
        try:
            return json.loads(path.read_text(encoding="utf-8"))["reason"] if path.exists() else None
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path} is damaged ({error}). Remove it: the run counts as missing then") from error

    def frame(self, specs: Iterable[RunSpec]) -> pd.DataFrame:
        """One row for every spec, in order: what it is, whether a record exists (`present`), its numbers or NaN."""
        rows = [_row(spec, self.find(spec)) for spec in specs]
        columns = [*OF_SPEC, "run_id", "config_id", "present", *OF_RECORD, "validation_accuracy", "collapsed"]
        numbers = dict.fromkeys((*OF_RECORD, "validation_accuracy"), float)
        return pd.DataFrame(rows, columns=columns).astype(numbers)


def finding(*stores: Store) -> Callable[[RunSpec], Record | None]:
    """A run's record from the first of the stores that holds it, as a function; None when none does."""
    return lambda spec: next((record for store in stores if (record := store.find(spec))), None)


def write(path: Path, content: str | bytes) -> None:
    """Write a file by one `os.replace`, so that a kill or a full disk leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _parsed(file: Path) -> Record:
    try:
        record = Record.from_json(file.read_text(encoding="utf-8"))
    except UnknownMethodError:
        raise
    except (RecordError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecordError(f"{file} is damaged: {error}. Restore it, or remove it to train the run again") from error
    if file.parent.name != record.spec.config_id or file.stem != f"seed-{record.spec.seed}":
        raise RecordError(f"{file} is damaged: it holds run {record.spec.run_id}. Move it there or remove it")
    return record


def _row(spec: RunSpec, record: Record | None) -> dict:
    row = {name: getattr(spec, name) for name in OF_SPEC} | {"init": spec.initialisation}
    row |= {"run_id": spec.run_id, "config_id": spec.config_id, "present": record is not None, "collapsed": False}
    if record is not None:
        row |= {name: getattr(record, name) for name in OF_RECORD}
        row |= {"validation_accuracy": record.history[-1]["validation_accuracy"], "collapsed": record.collapsed}
    return row
