"""What a training has to itself on a device, threads or a stream; and pieces of an iteration as CUDA graphs."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from rigl_nb.execution import Execution
from rigl_nb.execution.cores import computing

T, R = TypeVar("T"), TypeVar("R")
WARM_UP = 3  # calls before the capture, in which libraries set themselves up and buffers come to be


def lane(execution: Execution) -> Callable[[], AbstractContextManager]:
    """A context to be entered again and again: the training's own number of CPU threads, and on a GPU its own stream.

    Trainings on lanes of their own overlap on a GPU. Its convolutions are deterministic there.
    """
    own = _stream(execution.device) if execution.device.startswith("cuda") else nullcontext

    @contextmanager
    def enter() -> Iterator[None]:
        with computing(execution.threads), own():
            yield

    return enter


def _stream(device: str) -> Callable[[], AbstractContextManager]:
    stream = torch.cuda.Stream(device)

    @contextmanager
    def enter() -> Iterator[None]:
        with torch.cuda.stream(stream), torch.backends.cudnn.flags(enabled=True, deterministic=True):
            yield

    return enter


def on_a_lane(steps: Generator[T, None, R], execution: Execution) -> Generator[T, None, R]:
    """The same generator, each step of which runs on one lane; the lane is left before the consumer's turn."""
    enter = lane(execution)
    while True:
        with enter():
            try:
                value = next(steps)
            except StopIteration as done:
                return done.value
        yield value


class Replay:
    """A function of tensors that stay in place, recorded at its fourth call as a CUDA graph and replayed from then on.

    It takes no arguments, returns nothing and never asks the device for a value. Its kernels then start without the
    host, whose part of a small network's iteration is longer than the device's. Disabled, it is the function.
    """

    def __init__(self, function: Callable[[], None], generators: Iterable[torch.Generator], enabled: bool):
        self.function, self.generators, self.enabled = function, tuple(generators), enabled
        self.calls = 0
        self.recorded: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Run the function, or replay it."""
        if self.enabled and self.recorded is None and self.calls == WARM_UP:
            self.recorded = record(self.function, self.generators)  # which does not run it
        self.calls += 1
        (self.recorded or self.function)()


def record(function: Callable[[], None], generators: tuple[torch.Generator, ...]) -> Callable[[], None]:
    """Capture the function on the current stream, which must not be the default one; the replay of it."""
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)  # a replay goes on where the generator stands
    stream = torch.cuda.current_stream()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):  # other threads do as they like
        function()
    return graph.replay
