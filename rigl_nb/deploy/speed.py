"""How many times faster one module is than another one, here: arms that take turns, and ratios round by round."""

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rigl_nb import checks
from rigl_nb.execution.cores import computing, usable

LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
TRIALS = 3  # rounds that choose the memory formats, before those that count


@dataclass(frozen=True)
class Spread:
    """A median, and the middle half of the values: a quarter lies below `low`, a quarter above `high`."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value or more, ends included."""
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return cls(statistics.median(values), low, high)


@dataclass(frozen=True)
class SpeedUp:
    """What `speed_up` measured: seconds of a call of each module, and their quotient, taken within each round."""

    ratio: Spread  # the first module's seconds over the second one's: above 1 the second is faster
    first: Spread  # seconds
    second: Spread
    n: int  # rounds
    threads: int  # of the CPU
    formats: tuple[str, str]  # memory formats, each module's faster one

    def __str__(self) -> str:
        how = f"n = {self.n}, {self.threads} thread{'s' * (self.threads > 1)}, {' against '.join(self.formats)}"
        return f"{self.ratio.median:.2f} × ({self.ratio.low:.2f} – {self.ratio.high:.2f}, {how})"


def speed_up(
    model: nn.Module,
    other: nn.Module,
    batch: Tensor,
    loss: Callable[[Tensor], Tensor] | None = None,
    rounds: int = 15,
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> SpeedUp:
    """How many times faster `other` is than `model` on this batch; give the dense network first, then the compact one.

    A forward pass is timed; with `loss`, a function of the output, a training step: both passes, and SGD with momentum.
    Images (n, c, h, w) are tried in both memory formats, and each module is measured in its faster one: no gain is one
    over a slow format. The modules take turns, `threads` compute (None: torch's own number), and the work is done on
    copies. Batch and modules must be on one device; in other precisions, call it under `torch.autocast`. Raises
    ValueError for more threads than this process may use cores, and for a loss that is no number to descend.
    """
    for name, value, wanted in (("model", model, nn.Module), ("other", other, nn.Module), ("batch", batch, Tensor)):
        checks.kind(name, value, wanted)
    for name, value in {"clock": clock, **({} if loss is None else {"loss": loss})}.items():
        checks.kind(name, value, Callable)
    checks.at_least("rounds", rounds, 1)
    if threads is not None:
        checks.at_least("threads", threads, 1)
        if threads > (most := usable()):
            raise ValueError(
                f"threads {threads} is not allowed: this process may use {most} cores, take at most {most}"
            )
    synchronise = (lambda: None) if batch.device.type == "cpu" else partial(torch.accelerator.synchronize, batch.device)
    layouts = LAYOUTS if batch.ndim == 4 else {"contiguous": torch.contiguous_format}
    modules = {"first": model, "second": other}
    arms = {(who, how): step(m, batch, layouts[how], loss) for who, m in modules.items() for how in layouts}
    with computing(threads):
        tried = taken(arms, TRIALS, synchronise, clock)
        best = [min(layouts, key=lambda how: statistics.median(tried[who, how])) for who in modules]
        chosen = {who: arms[who, how] for who, how in zip(modules, best, strict=True)}
        seconds = taken(chosen, rounds, synchronise, clock)
        return compared(seconds["first"], seconds["second"], torch.get_num_threads(), tuple(best))


def compared(first: Sequence[float], second: Sequence[float], threads: int, formats: tuple[str, str]) -> SpeedUp:
    """The result for these seconds, a value of each module for each round."""
    spreads = map(Spread.of, (ratios(first, second), first, second))
    return SpeedUp(*spreads, len(first), threads, formats)


def ratios(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    """Quotients of every round: what disturbs a round disturbs both, and cancels."""
    return tuple(a / b for a, b in zip(first, second, strict=True))


def taken(
    arms: Mapping, rounds: int, synchronise: Callable[[], None], clock: Callable[[], float]
) -> dict[object, list[float]]:
    """Seconds of every arm in so many rounds, after one that is not counted."""
    told = list(itertools.islice(turns(arms, synchronise, lead_in=1, clock=clock), rounds + 1))[1:]
    return {name: [seconds[name] for seconds in told] for name in arms}


def turns(
    arms: Mapping[object, Callable[[], object]],
    synchronise: Callable[[], None] = lambda: None,
    steps: int = 1,
    lead_in: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[dict[object, float]]:
    """Round after round without end, seconds a step of every arm; an arm is one step, called again and again.

    In a round each arm does `lead_in` steps off the clock, then a block of `steps` on it; the order of the arms turns
    by one from round to round, so that no arm always follows the same one. The first round is the warm-up, in the given
    order, and so is the second.
    """
    names = list(arms)
    for number in itertools.count(-1):
        turn = max(number, 0) % len(names)
        yield {name: _block(arms[name], synchronise, steps, lead_in, clock) for name in names[turn:] + names[:turn]}


def _block(arm: Callable[[], object], synchronise, steps: int, lead_in: int, clock) -> float:
    for _ in range(lead_in):
        arm()
    synchronise()
    start = clock()
    for _ in range(steps):
        arm()
    synchronise()
    return (clock() - start) / steps


def step(
    model: nn.Module, batch: Tensor, layout: torch.memory_format, loss: Callable[[Tensor], Tensor] | None = None
) -> Callable[[], object]:
    """What is timed, on a copy of the module in this memory format: a forward pass, or with `loss` a training step."""
    images = batch.ndim == 4
    twin = copy.deepcopy(model).to(memory_format=layout) if images else copy.deepcopy(model)
    x = batch.contiguous(memory_format=layout) if images else batch
    if loss is None:
        return torch.inference_mode()(partial(twin.eval(), x))
    optimizer = torch.optim.SGD(twin.train().parameters(), lr=1e-3, momentum=0.9)

    def descend() -> None:
        optimizer.zero_grad()
        value = loss(twin(x))
        if not (isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad):
            found = f"{tuple(value.shape)} tensor" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"loss that gives a {found} is not allowed: it must give one number with a gradient")
        value.backward()
        optimizer.step()

    return descend
