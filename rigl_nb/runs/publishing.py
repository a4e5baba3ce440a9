"""Publishing: records that may be evidence go from one folder into another."""

import re
from collections.abc import Iterable

from rigl_nb.runs.origin import has
from rigl_nb.runs.record import Record, RecordError
from rigl_nb.runs.store import CORRECT, MASKS, Store, write
from rigl_nb.spec import RunSpec

MASKS_LIMIT = 200_000  # bytes of a masks file that is published; larger ones are made again by training


def new(source: Store, target: Store, specs: Iterable[RunSpec]) -> list[Record]:
    """The records of `specs`, each once, that `source` holds and `target` lacks; RecordError names a damaged one."""
    unique = {spec.run_id: spec for spec in specs}.values()
    return [record for spec in unique if target.find(spec) is None and (record := source.find(spec))]


def others(source: Store, target: Store, specs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs of `specs` that both hold with different numbers, as two machines give them."""
    both = ((spec, source.find(spec), target.find(spec)) for spec in {spec.run_id: spec for spec in specs}.values())
    return [spec for spec, one, other in both if one and other and one.numbers() != other.numbers()]


def publish(source: Store, target: Store, specs: Iterable[RunSpec], allow_dirty: bool = False) -> list[Record]:
    """Copy the `new` records; all are checked before any is copied.

    With a record goes which images are correct; with a parent's its masks, so that its child can be trained from
    published files alone.
    Raises RecordError when one is damaged, lacks its predictions, comes from changed code (unless `allow_dirty`) or
    from a commit that is unknown.
    """
    specs = list(specs)
    found = new(source, target, specs)
    for record in found:
        _check(record, source, allow_dirty)
        source.find_masks(record.spec)  # RecordError where they are damaged
    correct = [source.find_correct(record.spec) for record in found]
    parents = {spec.parent.run_id for spec in specs if spec.parent}
    for record, predictions in zip(found, correct, strict=True):
        masks = source.path(record.spec, MASKS)
        if record.spec.run_id in parents and masks.exists() and masks.stat().st_size <= MASKS_LIMIT:
            write(target.path(record.spec, MASKS), masks.read_bytes())
        target.save_correct(record.spec, predictions)
        target.save(record)
    return found


def _check(record: Record, source: Store, allow_dirty: bool) -> None:
    path, commit = source.path(record.spec), record.provenance.get("commit")
    if not commit:
        raise RecordError(f"{path} names no commit: set RIGL_COMMIT where there is no git, and train again")
    if not (re.fullmatch("[0-9a-f]{7,40}", commit) and has(commit)):
        raise RecordError(
            f"{path} names commit {commit[:9]}, which this repository does not have: fetch it, or train again"
        )
    if record.provenance["dirty"] is not False and not allow_dirty:
        raise RecordError(
            f"{path} was trained by code that differs from its commit {commit[:9]}: commit and train again, or publish "
            "with --allow-dirty"
        )
    if not (predictions := source.path(record.spec, CORRECT)).exists():
        raise RecordError(
            f"{predictions} is missing, so nobody can check the accuracy: copy the whole folder of a run, or train "
            "it again (code of before November 2026 kept none)"
        )
