"""How iterations are recorded, without a GPU: what a capture may do to others, what is left of it, what if it fails."""

import gc
import warnings
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from driving import equal, numbers, tiny
from recorder import graphed, kept, record, run
from records import PLAIN

from rigl_nb import train
from rigl_nb.execution import Execution, graph

cudnn = torch.backends.cudnn


@pytest.fixture
def cuda(monkeypatch) -> SimpleNamespace:
    """Put stand-ins for streams and captures into torch.cuda; return what they have seen."""
    seen = SimpleNamespace(streams=[], registered=[], inside=[], current=None)

    class Graph:
        def register_generator_state(self, generator):
            seen.registered.append(generator)

        def replay(self):
            seen.inside.append("replay")

    @contextmanager
    def stream(one):
        seen.current, before = one, seen.current
        yield
        seen.current = before

    @contextmanager
    def capture(graph, stream, capture_error_mode):
        assert (stream, capture_error_mode) == (seen.current, "thread_local")
        seen.inside.append("begin")
        yield
        seen.inside.append("end")

    for name, stand_in in {
        "Stream": lambda device: seen.streams.append(device) or f"stream {len(seen.streams)} of {device}",
        "stream": stream,
        "current_stream": lambda: seen.current,
        "CUDAGraph": Graph,
        "graph": capture,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return seen


def test_each_training_has_a_stream_of_its_own_for_its_steps_alone(cuda):
    first, second = graph.lane(Execution("cuda:1")), graph.lane(Execution("cuda:1"))
    with first():
        assert cuda.current == "stream 1 of cuda:1"
    with second():
        assert cuda.current == "stream 2 of cuda:1"
    assert cuda.current is None and cuda.streams == ["cuda:1", "cuda:1"]


@pytest.mark.parametrize("before", [False, True])
def test_a_lane_is_deterministic_and_leaves_that_as_it_was(cuda, monkeypatch, before):
    monkeypatch.setattr(cudnn, "deterministic", before)
    with pytest.raises(KeyError), graph.lane(Execution("cuda"))():
        assert cudnn.deterministic
        raise KeyError
    assert cudnn.deterministic is before


@pytest.mark.parametrize("chosen", ["ieee", "tf32"])
def test_a_lane_leaves_precision_to_the_caller(cuda, chosen):
    """Who has set it for convolutions alone has no `allow_tf32` any more: torch raises where that is read."""
    before, cudnn.conv.fp32_precision = cudnn.conv.fp32_precision, chosen
    try:
        with graph.lane(Execution("cuda"))():
            assert cudnn.conv.fp32_precision == chosen and graph.tf32() is (chosen == "tf32")
        assert cudnn.conv.fp32_precision == chosen
    finally:
        cudnn.conv.fp32_precision = before


@pytest.mark.parametrize("allowed", [False, True])
def test_an_execution_says_whether_convolutions_are_tf32(cuda, allowed):
    before = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    with graph.lane(Execution("cuda", tf32=allowed))():
        assert graph.tf32() is allowed
    assert before == (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision)
    with pytest.raises(ValueError, match="tf32 True is not allowed on device 'cpu': leave it out"):
        Execution(tf32=True)


@pytest.mark.parametrize(("version", "asked"), [("2.11.0", True), ("2.13.1+cu130", True), ("2.14.0", False)])
def test_generators_are_registered_where_torch_needs_it(cuda, monkeypatch, version, asked):
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion(version))
    generator = torch.Generator()
    graph.record(lambda: cuda.inside.append("function"), (generator,))()
    assert cuda.inside == ["begin", "function", "end", "replay"]
    assert cuda.registered == [generator] * asked


def test_nothing_is_collected_during_a_capture(cuda):
    """A collection would free the graphs of other runs, which breaks the capture."""
    collected = []

    def note(phase, info):
        collected.append(cuda.inside[-1:])

    def litter():
        for _ in range(5000):
            one = []
            one.append(one)

    gc.callbacks.append(note)
    try:
        graph.record(litter, ())
        assert ["begin"] not in collected and gc.isenabled()
        litter()
        assert collected, "garbage is collected otherwise"
    finally:
        gc.callbacks.remove(note)


@pytest.fixture
def remembered(monkeypatch) -> list:
    """Return weak references to the parts of every run that is prepared from now on."""
    references, plain = [], train.prepare

    def prepare(*arguments):
        parts = plain(*arguments)
        references.extend(weakref.ref(one) for one in (parts, parts.model, parts.optimizer, parts.sparsifier))
        return parts

    monkeypatch.setattr(train, "prepare", prepare)
    return references


def test_nothing_of_a_finished_run_stays_alive(recorded, remembered):
    gc.collect()
    gc.disable()
    try:
        run(tiny("RigL", epochs=1), graphed(PLAIN))
        assert len(recorded) == 2 and len(remembered) == 4
        assert [one() for one in remembered] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.parametrize("broken", [{1}, {2}, {1, 2}], ids=["gradients", "descent", "both"])
def test_a_capture_that_fails_warns_once_and_changes_no_number(recorded, monkeypatch, broken):
    spec, tried = tiny("RigL"), []

    def fails(function, generators):
        tried.append(function)
        if len(tried) not in broken:
            return record(function, generators)
        for generator in generators:  # what a broken capture has drawn, it has drawn
            torch.rand(7, generator=generator)
        raise RuntimeError("operation failed due to a previous error during capture")

    want, result = run(spec, PLAIN)
    monkeypatch.setattr(graph, "record", fails)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, again = run(spec, graphed(PLAIN))
    told = [str(one.message) for one in caught if "CUDA" in str(one.message)]
    assert len(told) == 1 and "records none (operation failed due to a previous error" in told[0]
    assert len(tried) == (1 if 1 in broken else 2), "without the gradients' record descent is not recorded either"
    assert numbers(again) == numbers(result) and all(equal(a, b) for a, b in zip(want, found, strict=True))


def test_a_generator_that_waits_for_a_capture_gets_a_state_that_does_not(monkeypatch):
    """`set_state` alone would leave it in the capture: torch refuses its next draw."""
    given = []
    generator = SimpleNamespace(device=torch.device("cuda"), graphsafe_set_state=given.append)
    monkeypatch.setattr(torch, "Generator", lambda device: SimpleNamespace(device=device, set_state=given.append))
    graph.rewind(generator, "state")
    assert given[0] == "state" and given[1].device == generator.device


def test_the_tests_look_at_copies_on_the_cpu():
    """A clone is made on the stream of whoever looks: a lane that goes on may be faster."""
    asked = []

    class Weight:
        def detach(self):
            return self

        def to(self, device, copy):
            asked.append((device, copy))

    kept({"weight": Weight()})
    assert asked == [("cpu", True)]
