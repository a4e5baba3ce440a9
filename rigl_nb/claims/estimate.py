"""An estimated value with its error: what a contrast of means gives, and what answers read."""

from dataclasses import dataclass
from math import inf

from scipy import special  # not `scipy.stats`: every notebook would wait most of a second for its import

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """An estimated value in points, its standard error and the degrees of freedom of that error (inf: known)."""

    value: float
    error: float
    freedom: float

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Student's two-sided interval; of no width where nothing was estimated."""
        half = student(self.freedom, confidence) * self.error if self.error else 0.0
        return self.value - half, self.value + half

    def times(self, factor: float) -> "Estimate":
        """A multiple of the value, whose error grows with it."""
        return Estimate(self.value * factor, self.error * factor, self.freedom)

    def above(self, bound: float) -> float:
        """One-sided p-value of "the true value is above `bound`": small where it clearly is."""
        if not self.error:
            return float(self.value <= bound)
        return float(_upper(self.freedom, (self.value - bound) / self.error))


def student(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Half of a two-sided interval, in standard errors."""
    tail = (1 + confidence) / 2
    return float(special.ndtri(tail) if freedom == inf else special.stdtrit(freedom, tail))


def _upper(freedom: float, t: float) -> float:
    return special.ndtr(-t) if freedom == inf else special.stdtr(freedom, -t)
