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
    """Return counts by layer: each layer's share of its own weights, made whole."""
    return whole({name: densities[name] * size(shape) for name, shape in shapes.items()})


def whole(shares):
    """Return the shares as whole numbers: rounded down, then one more for the largest remainders, earlier first."""
    counts = {name: math.floor(share) for name, share in shares.items()}
    missing = math.floor(sum(shares.values()) + Fraction(1, 2)) - sum(counts.values())
    order = list(shares)
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


# ---- how many: redistribution and Pruning


def water_fill(total, weights, room):
    """Return budgets min(room, level * weight) that use up the total, or all room of positive weight if that is less.

    The sum grows with the level, in straight pieces between the levels at which a layer is full.
    """

    def budgets(level):
        return [min(Fraction(r), level * Fraction(w)) for w, r in zip(weights, room, strict=True)]

    full = sorted(Fraction(r) / Fraction(w) for w, r in zip(weights, room, strict=True) if w > 0)
    if not full or sum(budgets(full[-1])) <= total:
        return budgets(full[-1] if full else 0)
    low = max([level for level in full if sum(budgets(level)) <= total], default=Fraction(0))
    rising = sum(Fraction(w) for w, r in zip(weights, room, strict=True) if w > 0 and low * Fraction(w) < r)
    return budgets(low + (total - sum(budgets(low))) / rising)


def redistribute(dropped, statistics, room):
    """Return how many each layer grows: the dropped total by statistic, what then is left as it was dropped."""
    first = water_fill(sum(dropped), statistics, room)
    left = [space - budget for space, budget in zip(room, first, strict=True)]
    second = water_fill(sum(dropped) - sum(first), dropped, left)
    return list(whole({i: a + b for i, (a, b) in enumerate(zip(first, second, strict=True))}).values())


def pruning_sparsity(step, start, end, final):
    """Return s(t) as a fraction: 0 up to the start, then s_f (1 - (1 - (t - t0) / (t1 - t0))^3), s_f from the end."""
    if step >= end:
        return final
    if step <= start:
        return Fraction(0)
    return final * (1 - (1 - Fraction(step - start, end - start)) ** 3)


# ---- whole trainings: arrays by parameter name


def sgd(rate, momentum=0.0, nesterov=False, decay=0.0):
    """Return SGD's step on one array; its first gradient is its first momentum."""

    def descend(weight, grad, state):
        grad = grad + decay * weight
        if momentum:
            state["momentum_buffer"] = momentum * state["momentum_buffer"] + grad if state else grad
            grad = grad + momentum * state["momentum_buffer"] if nesterov else state["momentum_buffer"]
        return weight - rate * grad

    return descend


def adam(rate, decay=0.0):
    """Return Adam's step on one array, with weight decay in the gradient."""

    def descend(weight, grad, state):
        grad = grad + decay * weight
        step = state["step"] = state.get("step", 0) + 1
        state["exp_avg"] = 0.9 * state.get("exp_avg", 0) + 0.1 * grad
        state["exp_avg_sq"] = 0.999 * state.get("exp_avg_sq", 0) + 0.001 * grad**2
        mean, square = state["exp_avg"] / (1 - 0.9**step), state["exp_avg_sq"] / (1 - 0.999**step)
        return weight - rate * mean / (np.sqrt(square) + 1e-8)

    return descend


GROWTH = {"SET": "noise", "SNFS": "momentum", "RigL": "gradient", "RigL-SG": "gradient", "RigL-SM": "gradient"}
SHARE = {"SNFS": "momentum", "RigL-SG": "gradient", "RigL-SM": "momentum"}


class Training:
    """One training by the definitions; a method that is not named above has fixed masks, or none."""

    def __init__(self, method, descend, weights, masks, alpha, delta_t, t_end, final=0, start=0):
        self.method, self.descend, self.masks = method, descend, dict(masks)
        self.alpha, self.delta_t, self.t_end, self.final, self.start = alpha, delta_t, t_end, final, start
        self.weights = {name: np.where(masks.get(name, True), weight, 0) for name, weight in weights.items()}
        self.state = {name: {} for name in weights}
        self.t, self.finished = 0, False

    def iterate(self, grads, noise):
        """Take one iteration on dense gradients; return whether masks were updated. `noise` draws for a layer."""
        t, self.t = self.t, self.t + 1
        due = (t + 1) % self.delta_t == 0
        if due and self.method in GROWTH and t < self.t_end:
            self.rewire(t, grads, noise)
        elif due and self.method == "Pruning" and t >= self.start and not self.finished:
            self.prune(t)
            self.finished = t >= self.t_end
        else:
            self.step(grads)
            return False
        return True

    def step(self, grads):
        """Descend on masked gradients; SNFS on dense ones, and sets inactive weights back to 0."""
        for name, grad in grads.items():
            mask, dense = self.masks.get(name, True), self.method == "SNFS"
            after = self.descend(self.weights[name], grad if dense else np.where(mask, grad, 0), self.state[name])
            self.weights[name] = np.where(mask, after, 0) if dense else after

    def momentum(self, name):
        """Return the momentum that rules rank by: Adam's is m / (sqrt(v) + 1e-8); 0 where there is none yet."""
        state = self.state[name]
        if "exp_avg" in state:
            return state["exp_avg"] / (np.sqrt(state["exp_avg_sq"]) + 1e-8)
        return state.get("momentum_buffer", np.zeros_like(self.weights[name]))

    def rewire(self, t, grads, noise):
        """Drop by magnitude in every layer, share the total out anew where the method does, grow by score."""
        values = {"gradient": grads.get, "momentum": self.momentum, "noise": noise}
        fraction = self.alpha / 2 * (1 + math.cos(math.pi * t / self.t_end))
        active = {name: int(mask.sum()) for name, mask in self.masks.items()}
        dropped = {name: math.floor(fraction * count) for name, count in active.items()}
        grown = dropped
        if self.method in SHARE:
            sums = [float(np.abs(values[SHARE[self.method]](name))[mask].sum()) for name, mask in self.masks.items()]
            statistics = [total / max(count, 1) for total, count in zip(sums, active.values(), strict=True)]
            room = [mask.size - active[name] + dropped[name] for name, mask in self.masks.items()]
            grown = dict(zip(dropped, redistribute(list(dropped.values()), statistics, room), strict=True))
        for name, mask in list(self.masks.items()):
            kept = drop(self.weights[name], mask, dropped[name])
            self.move(name, grow(np.abs(values[GROWTH[self.method]](name)), kept, grown[name]))

    def prune(self, t):
        """Keep floor((1 - s) N + 1/2) of all active weights, the largest; of equal ones the earlier layer and index."""
        share = 1 - pruning_sparsity(t, self.start, self.t_end, self.final)
        keep = math.floor(share * sum(mask.size for mask in self.masks.values()) + Fraction(1, 2))
        ranked = []
        for place, (name, mask) in enumerate(self.masks.items()):
            flat = np.abs(self.weights[name]).ravel()
            ranked += [(-flat[index], place, index, name) for index in range(mask.size) if mask.ravel()[index]]
        new = {name: np.zeros_like(mask) for name, mask in self.masks.items()}
        for _, _, index, name in sorted(ranked)[:keep]:
            new[name].ravel()[index] = True
        for name, mask in new.items():
            self.move(name, mask)

    def move(self, name, new):
        """Take over a mask: what was inactive starts at 0, in the optimizer too unless its momentum is dense."""
        survives, self.masks[name] = new & self.masks[name], new
        self.weights[name] = np.where(survives, self.weights[name], 0)
        if self.method != "SNFS":
            self.state[name] = {k: v if k == "step" else np.where(survives, v, 0) for k, v in self.state[name].items()}
