"""Independent, reproducible streams; nothing touches the global generators."""

import random

import numpy as np
import torch

from rigl_nb.rng import numpy_generator, torch_generator


def draws(seed, *stream):
    return numpy_generator(seed, *stream).integers(0, 2**62, 8).tolist()


def torch_draws(seed, *stream):
    return torch.rand(8, generator=torch_generator(seed, *stream)).tolist()


def test_same_seed_and_stream_give_the_same_numbers():
    assert draws(3, "weights") == draws(3, "weights")
    assert torch_draws(3, "growth", 5) == torch_draws(3, "growth", 5)


def test_every_seed_and_stream_gives_other_numbers():
    streams = [(), ("a",), ("b",), ("a", 0), ("a", 1), ("a", "b"), ("ab",), ("b", "a")]
    keys = [(seed, *stream) for seed in (0, 1) for stream in streams]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)
    assert len({tuple(torch_draws(*key)) for key in keys}) == len(keys)


def test_streams_are_uncorrelated():
    a = numpy_generator(0, "a").standard_normal(20_000)
    b = numpy_generator(0, "b").standard_normal(20_000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03


def test_numbers_do_not_depend_on_the_process():
    """Strings must not enter through hash(), which differs from process to process."""
    import subprocess
    import sys

    code = "from rigl_nb.rng import *; print(numpy_generator(3, 'weights').integers(0, 2**62), "
    code += "torch_generator(3, 'weights').initial_seed())"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = (numpy_generator(3, "weights").integers(0, 2**62), torch_generator(3, "weights").initial_seed())
    assert fresh.split() == [str(value) for value in here]


def test_global_generators_are_left_alone():
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    numpy_generator(1, "x").random(3)
    torch.rand(3, generator=torch_generator(1, "x"))
    after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_types_and_device():
    assert isinstance(numpy_generator(0, "x"), np.random.Generator)
    assert torch_generator(0, "x").device == torch.device("cpu")
