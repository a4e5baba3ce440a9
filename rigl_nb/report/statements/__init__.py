"""The report's claims, section by section: what it says, and which cells that compares."""

from rigl_nb.report.statements.cifar import CIFAR10
from rigl_nb.report.statements.distribution import EQUAL_COUNT, REDISTRIBUTION, equal_flops
from rigl_nb.report.statements.settings import ORIGINAL, SETTINGS

__all__ = ["CIFAR10", "EQUAL_COUNT", "ORIGINAL", "REDISTRIBUTION", "SETTINGS", "equal_flops"]
