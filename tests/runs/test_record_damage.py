"""A damaged record says what is wrong with it, and raises nothing else."""

import dataclasses
import json
import math
from dataclasses import replace

import pytest
from records import made, tiny

from rigl_nb import paths
from rigl_nb.runs.record import HOW, ORIGIN, Record, RecordError
from rigl_nb.spec import RunSpec

SPEC = tiny(epochs=3)
TEXT = made(SPEC).to_json()
PAPER = RunSpec(method="RigL", init="ERK", density=0.1)


def unsealed() -> dict:
    """Return the content as of an older record, without the digest that notices any change."""
    content = json.loads(TEXT)
    del content["digest"]
    return content


def damaged(change) -> str:
    content = unsealed()
    change(content)
    return json.dumps(content)


FIELDS = ["format", "run_id", *(field.name for field in dataclasses.fields(Record) if field.name != "test_bits")]


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field):
    with pytest.raises(RecordError, match=field):
        Record.from_json(damaged(lambda content: content.pop(field)))


COLUMNS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "drop_fraction")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column):
    with pytest.raises(RecordError, match=column):
        Record.from_json(damaged(lambda content: content["history"].pop(column)))


@pytest.mark.parametrize(("part", "fields"), [("provenance", ORIGIN), ("execution", HOW)])
def test_a_missing_origin_is_named(part, fields):
    """Publishing and the cost estimate read these."""
    for field in fields:
        with pytest.raises(RecordError, match=f"{part} has no {field}"):
            Record.from_json(damaged(lambda content, field=field: content[part].pop(field)))


def test_any_other_number_is_noticed_by_the_digest():
    for change in (
        lambda c: c.update(train_flops=0.01),
        lambda c: c["history"]["validation_accuracy"].__setitem__(-1, 90.0),
        lambda c: c["spec"].update(seed=2) or c.update(run_id=replace(SPEC, seed=2).run_id),
        lambda c: c["provenance"].update(dirty=False, date="2031-01-01"),
        lambda c: c.update(digest="0" * 16),
    ):
        content = json.loads(TEXT)
        change(content)
        with pytest.raises(RecordError, match="its content is not what was written"):
            Record.from_json(json.dumps(content))
    assert Record.from_json(json.dumps(unsealed())) == Record.from_json(TEXT) == made(SPEC), "older ones have none"


def test_published_records_have_a_digest_that_fits():
    published = [path.read_text() for path in sorted((paths.ROOT / "results").rglob("*.json"))]
    assert published and all("digest" in json.loads(text) and Record.from_json(text) for text in published)


REASONS = {
    "epochs that do not count": (lambda c: c["history"].update(epoch=[1, 1, 1]), "epochs are not counted from 1"),
    "a loss as text": (lambda c: c["history"]["loss"].__setitem__(0, "x"), "'x' in its history"),
    "no active weights": (lambda c: c.update(active=[]), "active weights are missing"),
    "less than no weight": (lambda c: c["active"][0]["counts"].update(x=-3), "active weights are missing or wrong"),
    "a commit that is a number": (lambda c: c["provenance"].update(commit=5), "commit 5 is of the wrong type"),
    "a machine without a name": (lambda c: c["provenance"].update(hardware=None), "hardware None is of the wrong type"),
    "unknown field": (lambda c: c.update(colour="red"), "colour"),
    "unknown field of the spec": (lambda c: c["spec"].update(colour="red"), "colour"),
    "refused value of the spec": (lambda c: c["spec"].update(density=2), "density 2"),
    "unknown method": (lambda c: c["spec"].update(method="Rigl"), "Rigl"),
    "another run's id": (lambda c: c.update(run_id=PAPER.run_id), PAPER.run_id),
    "another seed": (lambda c: c["spec"].update(seed=1), "seed-1"),
    "another spec": (lambda c: c["spec"].update(alpha=0.4), "run_id"),
    "too few epochs": (lambda c: [v.pop() for v in c["history"].values()], "2 epochs recorded of 3"),
    "no epochs": (lambda c: [v.clear() for v in c["history"].values()], "0 epochs recorded of 3"),
    "too many epochs": (lambda c: [v.append(1) for v in c["history"].values()], "4 epochs recorded of 3"),
    "uneven columns": (lambda c: c["history"]["loss"].pop(), "argument"),
    "accuracy above 100": (lambda c: c.update(test_accuracy=100.5), r"accuracy 100\.5"),
    "accuracy below 0": (lambda c: c.update(test_accuracy=-1), "accuracy -1"),
    "accuracy not a number": (lambda c: c.update(test_accuracy=math.nan), "NaN"),
    "accuracy as text": (lambda c: c.update(test_accuracy="91.7"), r"accuracy '91\.7'"),
    "no accuracy": (lambda c: c.update(test_accuracy=None), "accuracy None"),
    "a newer format": (lambda c: c.update(format=2), "format 2"),
    "a newer format with more in it": (lambda c: c.update(format=2, colour="red"), "format 2"),
}


@pytest.mark.parametrize("case", REASONS)
def test_damage_is_refused_with_its_reason(case):
    change, reason = REASONS[case]
    with pytest.raises(RecordError, match=reason):
        Record.from_json(damaged(change))


@pytest.mark.parametrize("text", ["", "\0" * 64, "not json", "null", "[]", "3", '"record"', "{}", "{}{}"])
def test_other_texts_are_no_records(text):
    with pytest.raises(RecordError, match="not a record"):
        Record.from_json(text)


def test_a_file_cut_short_anywhere_is_refused():
    for end in range(0, len(TEXT.rstrip()), 41):
        with pytest.raises(RecordError, match="not a record"):
            Record.from_json(TEXT[:end])


def places(content, path=()):
    """Return the path of every dict entry of the content."""
    for key, value in content.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


@pytest.mark.parametrize("junk", [None, "x", -1, math.nan, [], {}, [None], {"a": "b"}, True])
def test_any_value_replaced_by_junk_is_refused_or_harmless(junk):
    """No other exception than RecordError; and a record that is accepted can be judged and written again."""
    for path in places(unsealed()):
        content = unsealed()
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = junk
        try:
            one = Record.from_json(json.dumps(content))
        except RecordError:
            continue
        except Exception as error:
            pytest.fail(f"{'.'.join(path)} = {junk!r}: {error!r} instead of RecordError")
        try:
            assert one.collapsed in (False, True)
            costs = (one.seconds, one.images_per_second, one.train_flops, one.test_flops, one.dense_flops)
            assert all(math.isfinite(cost) and cost >= 0 for cost in costs)
            assert Record.from_json(one.to_json()) == one
        except (AssertionError, TypeError, ValueError, KeyError) as error:
            pytest.fail(f"{'.'.join(path)} = {junk!r} was accepted, but then: {error!r}")
