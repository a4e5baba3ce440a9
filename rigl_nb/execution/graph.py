"""What a training has to itself on a device, threads or a stream; and pieces of an iteration as CUDA graphs."""

import gc
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from rigl_nb.execution import Execution, devices
from rigl_nb.execution.cores import computing

T, R = TypeVar("T"), TypeVar("R")
WARM_UP = 3  # calls before the capture, in which libraries set themselves up and buffers come to be


def lane(execution: Execution) -> Callable[[], AbstractContextManager]:
    """A context to be entered again and again: the training's own number of CPU threads, and on a GPU its own stream.

    Trainings on lanes of their own overlap on a GPU. Its convolutions are deterministic there; in TF32 if the execution
    says so.
    """
    own = _stream(execution) if execution.kind == "cuda" else nullcontext

    @contextmanager
    def enter() -> Iterator[None]:
        with computing(execution.threads), own():
            yield

    return enter


def _stream(execution: Execution) -> Callable[[], AbstractContextManager]:
    stream = torch.cuda.Stream(execution.device)

    @contextmanager
    def enter() -> Iterator[None]:
        cudnn = torch.backends.cudnn  # whose own context sets all its flags, also those that the caller chose
        settings = [(cudnn, "deterministic", True)]
        if execution.tf32 is not None:
            precision = "tf32" if execution.tf32 else "ieee"
            settings += [(part, "fp32_precision", precision) for part in (cudnn.conv, cudnn.rnn)]
        before = [(part, name, getattr(part, name)) for part, name, _ in settings]
        for part, name, value in settings:
            setattr(part, name, value)
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            for part, name, value in before:
                setattr(part, name, value)

    return enter


def tf32() -> bool:
    """Whether cuDNN's convolutions may round float32 to TF32, as torch is set now."""
    return torch.backends.cudnn.conv.fp32_precision == "tf32"


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
    host, whose part of a small network's iteration is longer than the device's. Where it reads what `after` leaves, it
    is recorded later than that. Disabled, or where CUDA cannot record it, it is the function.
    """

    def __init__(
        self,
        function: Callable[[], None],
        generators: Iterable[torch.Generator],
        enabled: bool,
        after: "Replay | None" = None,
    ):
        self.function, self.generators, self.enabled, self.after = function, tuple(generators), enabled, after
        self.calls = 0
        self.recorded: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Run the function, or replay it."""
        due = self.enabled and self.recorded is None and self.calls >= WARM_UP
        if due and (self.after is None or self.after.recorded):
            self._record()
        self.calls += 1
        (self.recorded or self.function)()

    def _record(self) -> None:
        """Record the function, which does not run it; or give up for good, and leave no trace."""
        states = [generator.get_state() for generator in self.generators]
        try:
            self.recorded = record(self.function, self.generators)
        except RuntimeError as error:
            self.enabled = False
            for generator, state in zip(self.generators, states, strict=True):
                rewind(generator, state)
            first = error.__context__ or error  # the end of a broken capture has an error of its own
            warnings.warn(f"iterations start one by one, CUDA records none ({devices.said(first)})", stacklevel=3)


def record(function: Callable[[], None], generators: tuple[torch.Generator, ...]) -> Callable[[], None]:
    """Capture the function on the current stream, which must not be the default one; the replay of it."""
    graph = torch.cuda.CUDAGraph()
    if torch.__version__ < (2, 14):  # later ones find them
        for generator in generators:
            graph.register_generator_state(generator)  # a replay goes on where the generator stands
    stream = torch.cuda.current_stream()
    # other threads do as they like
    with uncollected(), torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        function()
    return graph.replay


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection of garbage: one that frees another run's graph, or its memory, would break a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def rewind(generator: torch.Generator, state: torch.Tensor) -> None:
    """Put a generator where it stood, also one that a broken capture has left unfit to draw."""
    if generator.device.type != "cuda":
        generator.set_state(state)
        return
    fresh = torch.Generator(generator.device)
    fresh.set_state(state)
    generator.graphsafe_set_state(fresh)  # it takes the place of the state that still waits for the capture
