"""The rules once more, written from their definitions with plain loops: slow, exact, and without torch.

Nothing here may import rigl_nb: the tests compare the two.
"""

import math
from fractions import Fraction

import numpy as np


def exact(density):
    """Return the decimal number that the reader of the float means: 0.15 is 15/100."""
    return Fraction(str(density))


def size(shape):
    """Return the number of weights of a shape."""
    return math.prod(shape)


def ratio(shape, kernel):
    """Return what a layer's density is proportional to: ER, or ERK with the kernel's sides."""
    sides = shape if kernel else shape[:2]
    return Fraction(sum(sides), math.prod(sides))


def erdos_renyi(shapes, density, kernel):
    """Return exact densities by layer: solve, make the largest overflowing value dense, solve again."""
    if density == 1:
        return {name: Fraction(1) for name in shapes}
    raw = {name: ratio(shape, kernel) for name, shape in shapes.items()}
    budget = density * sum(size(shape) for shape in shapes.values())
    dense = set()
    while True:
        free = [name for name in shapes if name not in dense]
        left = budget - sum(size(shapes[name]) for name in dense)
        epsilon = left / sum(raw[name] * size(shapes[name]) for name in free)
        largest = max(raw[name] for name in free)
        if epsilon * largest <= 1:
            return {name: Fraction(1) if name in dense else epsilon * raw[name] for name in shapes}
        dense |= {name for name in free if raw[name] == largest}


def total_count(shapes, density):
    """Return floor(D N + 1/2)."""
    return math.floor(density * sum(size(shape) for shape in shapes.values()) + Fraction(1, 2))


def largest_remainder(shapes, densities):
    """Return counts by layer: rounded down, then one more for the largest remainders, earlier first."""
    shares = {name: densities[name] * size(shape) for name, shape in shapes.items()}
    counts = {name: math.floor(share) for name, share in shares.items()}
    missing = math.floor(sum(shares.values()) + Fraction(1, 2)) - sum(counts.values())
    order = list(shapes)
    for _ in range(missing):
        best = None
        for name in order:
            remainder = shares[name] - counts[name]
            if best is None or remainder > shares[best] - counts[best]:
                best = name
        counts[best] += 1
        order.remove(best)
    return counts


def best_first(scores):
    """Return the flat indices from the highest score to the lowest; equal: the lower index; NaN: last."""
    return sorted(range(len(scores)), key=lambda index: (math.isnan(scores[index]), -scores[index], index))


def drop(weight, mask, count):
    """Return the mask without the `count` active weights of smallest magnitude."""
    flat, kept = np.abs(weight).ravel(), mask.ravel().copy()
    active = [index for index in range(flat.size) if kept[index]]
    ranked = [active[i] for i in best_first([flat[index] for index in active])]
    for index in ranked[len(ranked) - count :]:
        kept[index] = False
    return kept.reshape(mask.shape)


def grow(score, kept, count):
    """Return the mask with the `count` best of everything not kept switched on."""
    flat, grown = score.ravel(), kept.ravel().copy()
    candidates = [index for index in range(flat.size) if not grown[index]]
    ranked = [candidates[i] for i in best_first([flat[index] for index in candidates])]
    for index in ranked[:count]:
        grown[index] = True
    return grown.reshape(kept.shape)


def rigl_update(weight, grad, mask, fraction, momentum):
    """One RigL update of one layer: mask, weight and momentum afterwards."""
    count = math.floor(fraction * int(mask.sum()))
    new = grow(np.abs(grad), drop(weight, mask, count), count)
    survives = new & mask
    return new, np.where(survives, weight, 0), np.where(survives, momentum, 0)
