"""The rules of structured masks once more, by plain loops over single weights; nothing here may import rigl_nb."""

from itertools import product

import numpy as np
import reference


def pools(structure, shape, channels=None):
    """Cut a weight: a list of pools, each a list of units, each the list of its entries' indices."""
    every, found = list(product(*map(range, shape))), {}
    for index in every:
        if structure == "kernel":
            pool, unit = (), index[:2]
        elif structure == "channel":
            pool, unit = (), index[1] // (shape[1] // channels)
        elif structure == "fan-in":
            pool, unit = index[0], index
        elif structure == "2:4":
            pool, unit = (index[0], index[1] // 4, *index[2:]), index
        else:
            pool, unit = (), index
        found.setdefault(pool, {}).setdefault(unit, []).append(index)
    return [list(units.values()) for units in found.values()]


def mean(values, unit):
    """Return the mean size of a unit's entries."""
    return sum(abs(float(values[index])) for index in unit) / len(unit)


def active(mask, pool):
    """Return which units of a pool are active; each is so as a whole."""
    states = [{bool(mask[index]) for index in unit} for unit in pool]
    assert all(len(state) == 1 for state in states), "a unit is cut"
    return [state.pop() for state in states]


def moved(structure, mask, fraction, carry, channels=None):
    """Return how many units each pool moves, before that is made whole: f n, and what was left over."""
    counts = {sum(active(mask, pool)) for pool in pools(structure, mask.shape, channels)}
    assert len(counts) == 1, "pools have one count"
    if structure == "2:4":
        return min(fraction * int(mask.sum()), mask.size / 4)
    return fraction * counts.pop() + carry * (structure in ("channel", "fan-in"))


def update(structure, weight, score, mask, count, channels=None):
    """Drop the smallest units, grow the best of all others; return what is kept, and the new mask."""
    cut = pools(structure, mask.shape, channels)
    kept, new = mask.copy(), mask.copy()
    if structure == "2:4":
        exchanges = []
        for pool in cut:
            two = [index for (index,) in pool if mask[index]]
            larger, smaller = (two[i] for i in reference.best_first([abs(float(weight[index])) for index in two]))
            free = [index for (index,) in pool if index != larger]
            best = free[reference.best_first([abs(float(score[index])) for index in free])[0]]
            exchanges.append((smaller, best))
        ranked = reference.best_first([abs(float(weight[smaller])) for smaller, _ in exchanges])
        for smaller, best in [exchanges[i] for i in ranked[len(ranked) - count :]]:
            kept[smaller] = new[smaller] = False
            new[best] = True
        return kept, new
    for pool in cut:
        alive = [i for i, state in enumerate(active(mask, pool)) if state]
        ranked = [alive[i] for i in reference.best_first([mean(weight, pool[i]) for i in alive])]
        stay = ranked[: len(ranked) - count]
        others = [i for i in range(len(pool)) if i not in stay]
        ranked = reference.best_first([mean(score, pool[i]) for i in others])
        come = [others[i] for i in ranked[:count]]
        for i, unit in enumerate(pool):
            for index in unit:
                kept[index], new[index] = i in stay, i in stay or i in come
    return kept, new


def live(mask, channels):
    """Return which channels are read."""
    (pool,) = pools("channel", mask.shape, channels)
    return np.array(active(mask, pool))
