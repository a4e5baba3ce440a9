"""The report's claims, section by section: what it says, and which cells that compares."""

from rigl_nb.claims.statements.beyond import best_over
from rigl_nb.claims.statements.cifar import CIFAR10, CIFAR100, HIGHEST, IMPACT, INSTABILITY
from rigl_nb.claims.statements.distribution import EQUAL_COUNT, REDISTRIBUTION, equal_flops
from rigl_nb.claims.statements.settings import ORIGINAL, SETTINGS, originals
from rigl_nb.claims.statements.structured import STRUCTURED
from rigl_nb.claims.statements.tuning import TUNING

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EQUAL_COUNT",
    "HIGHEST",
    "IMPACT",
    "INSTABILITY",
    "ORIGINAL",
    "REDISTRIBUTION",
    "SETTINGS",
    "STRUCTURED",
    "TUNING",
    "best_over",
    "equal_flops",
    "originals",
]
