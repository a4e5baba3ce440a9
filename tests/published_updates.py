"""The mask updates of the report's published code, from a description of it: plain loops, slow, and without torch.

Only what differs from `reference.Training` is written here. Nothing here may import rigl_nb: the tests compare the two.
"""

import math

import numpy as np
import reference


class Published(reference.Training):
    """One training as the published code computes it, for Dense, Static, RigL and SET.

    `coin(chance, places)` says how many of so many places SET's coins choose; `noise` of `iterate`, which ones.
    """

    def __init__(self, *arguments, coin, **options):
        super().__init__(*arguments, **options)
        self.coin, self.rate = coin, self.alpha

    def step(self, grads):
        """Descend on dense gradients, then mask weights and momentum; only here the schedule of the rate moves."""
        for name, grad in grads.items():
            mask = self.masks.get(name, 1.0)
            self.weights[name] = mask * self.descend(self.weights[name], grad, self.state[name])
            for key in self.state[name]:
                self.state[name][key] = mask * self.state[name][key]
        t = self.t - 1
        if t < self.t_end:
            self.rate = self.alpha * (1 + math.cos(math.pi * t / self.t_end)) / 2

    def rewire(self, t, grads, noise):
        """Drop in all layers, then grow in all: what grows starts at 0, and keeps its momentum if it was active."""
        nonzero = {name: int(np.count_nonzero(self.weights[name])) for name in self.masks}
        before = {name: int(mask.sum()) for name, mask in self.masks.items()}
        for name in self.masks:
            self.thin(name, before[name], nonzero[name] * len(nonzero) > sum(nonzero.values()))
        lost = {name: before[name] - int(mask.sum()) for name, mask in self.masks.items()}
        if self.method == "SET":
            free = {name: mask.size - int(mask.sum()) for name, mask in self.masks.items()}
            lost = {name: self.coin(lost[name] / max(free[name], 1), free[name]) for name in self.masks}
        for name in self.masks:
            self.fill(name, noise(name) if self.method == "SET" else grads[name], lost[name])

    def thin(self, name, active, large):
        """Switch off, in the order of |weight|, as many places as are inactive and as many more as the rate asks for.

        Places of weight 0 come first, in their flat order, whether they are active or not.
        """
        mask, rate = self.masks[name].copy(), self.rate
        sparsity = (mask.size - active) / mask.size
        if sparsity < 0.2 and large:
            rate = min(rate, sparsity)
        if count := math.ceil(rate * active):
            flat = np.abs(self.weights[name]).ravel()
            for place in sorted(range(flat.size), key=lambda place: (flat[place], place))[: flat.size - active + count]:
                mask.ravel()[place] = False
        self.masks[name] = mask

    def fill(self, name, values, count):
        """Switch on the places of largest value and set their weights to 0.

        For RigL an active place has the value 0, and may be among them where others have it, too.
        """
        mask, weight, flat = self.masks[name].copy(), self.weights[name].copy(), np.abs(values).ravel()
        places = [place for place in range(flat.size) if self.method == "RigL" or not mask.ravel()[place]]
        size = {place: 0.0 if mask.ravel()[place] else flat[place] for place in places}
        for place in sorted(places, key=lambda place: (-size[place], place))[:count]:
            mask.ravel()[place], weight.ravel()[place] = True, 0.0
        self.masks[name], self.weights[name] = mask, np.where(mask, weight, 0)
        self.state[name] = {key: np.where(mask, value, 0) for key, value in self.state[name].items()}
