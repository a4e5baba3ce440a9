"""The registry: the report's names, clear errors, and room for a reader's own method."""

import dataclasses

import pytest

from rigl_nb import methods
from rigl_nb.methods import METHODS, Method


@pytest.fixture
def registry():
    """Give the registry back as it was."""
    before = dict(METHODS)
    yield METHODS
    METHODS.clear()
    METHODS.update(before)


def test_names_are_the_reports():
    assert {"Dense", "Small-Dense", "Static", "SET", "RigL"} <= set(METHODS)
    for name, method in METHODS.items():
        assert isinstance(method, Method)
        assert method.name == name
        assert methods.get(name) is method


def test_masked_or_not():
    assert [METHODS[name].masked for name in ("Dense", "Small-Dense")] == [False, False]
    assert [METHODS[name].masked for name in ("Static", "SET", "RigL")] == [True, True, True]


def test_a_method_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHODS["RigL"].name = "other"


@pytest.mark.parametrize("name", ["rigl", "Rigl", "", "SNIP", None])
def test_unknown_names_list_the_known(name):
    with pytest.raises(ValueError, match="RigL") as caught:
        methods.get(name)
    message = str(caught.value)
    assert str(name) in message
    assert all(known in message for known in METHODS)


def test_a_reader_can_register_a_method(registry):
    mine = dataclasses.replace(METHODS["RigL"], name="Mine")
    methods.register(mine)
    assert methods.get("Mine") is mine
    assert registry["Mine"] is mine


def test_a_name_is_not_taken_twice(registry):
    with pytest.raises(ValueError, match="RigL"):
        methods.register(dataclasses.replace(METHODS["SET"], name="RigL"))
    assert methods.get("RigL") is not METHODS["SET"]
