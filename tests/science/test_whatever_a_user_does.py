"""Any order of what people do in a training: after every call of the Sparsifier its masks hold."""

import copy
import warnings

import torch
from holding import assert_holds, backward, network
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rigl_nb.sparsifier import Sparsifier

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
START = {"rprop": {"step_size": torch.tensor(0.01).item()}}
STANDING = ("Static", "SET", "RigL")


class Training(RuleBasedStateMachine):
    """A model, an optimizer and a Sparsifier; `held` says whether the last call was one after which masks hold."""

    def __init__(self):
        super().__init__()
        self.t, self.held, self.saved = 0, True, []
        self.quiet = warnings.catch_warnings()
        self.quiet.__enter__()
        warnings.simplefilter("ignore")

    def teardown(self):
        self.quiet.__exit__(None, None, None)

    @initialize(
        method=st.sampled_from(["Static", "SET", "RigL", "RigL-SG", "SNFS", "Pruning"]),
        kind=st.sampled_from(list(OPTIMIZERS)),
        init=st.sampled_from(["Random", "ERK"]),
        dense=st.integers(0, 3),
        attached=st.booleans(),
        delta_t=st.integers(1, 3),
    )
    def create(self, method, kind, init, dense, attached, delta_t):
        self.kind = "momentum" if method == "SNFS" and kind in ("sgd", "rprop") else kind
        self.model = network()
        self.optimizer = OPTIMIZERS[self.kind](self.model.parameters())
        for _ in range(dense):
            backward(self.model, self.t)
            self.optimizer.step()
            self.t += 1
        how = {"density": 0.3, "alpha": 0.7, "delta_t": delta_t, "t_end": 30}
        self.sparsifier = Sparsifier(self.model, self.optimizer, method, init, **how)
        if attached:
            self.sparsifier.attach()
        self.first = self.sparsifier.counts()
        self.save()

    @rule(closure=st.booleans())
    def step(self, closure):
        before = self.sparsifier.iteration

        def gradients():
            backward(self.model, self.t)
            return torch.zeros(())

        take = self.optimizer.step if self.sparsifier._hooks else self.sparsifier.step
        if not closure:
            gradients()
        take(gradients) if closure else take()
        assert self.sparsifier.iteration == before + 1
        self.t, self.held = self.t + 1, True

    @rule()
    def skip_a_step(self):
        """The gradients overflowed: somebody's loop goes on to the next batch."""
        backward(self.model, self.t)
        self.t += 1

    @rule(inf=st.booleans())
    def step_under_a_scaler(self, inf):
        if not self.sparsifier._hooks:
            return
        before, scaler = self.sparsifier.iteration, torch.amp.GradScaler("cpu", init_scale=8.0)
        backward(self.model, self.t)
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(torch.inf if inf else 8.0)
        scaler.scale(torch.zeros(()))  # its lazy start
        scaler.step(self.optimizer)
        assert self.sparsifier.iteration == before + (not inf)
        self.t += 1
        self.held = self.held or not inf

    @rule()
    def plain_step(self):
        if not self.sparsifier._hooks:
            backward(self.model, self.t)
            self.optimizer.step()
            self.t, self.held = self.t + 1, False

    @rule(seed=st.integers(1, 3))
    def load_weights(self, seed):
        self.model.load_state_dict(network(seed).state_dict())
        self.held = False

    @rule()
    def change_the_optimizers_state(self):
        for state in self.optimizer.state.values():
            for key, value in state.items():
                if torch.is_tensor(value) and value.ndim > 1:
                    state[key] = torch.rand_like(value)
        self.held = False

    @rule()
    def save(self):
        if self.held:
            self.saved.append(copy.deepcopy([part.state_dict() for part in self.parts()]))

    @rule(which=st.integers(0, 5))
    def rewind(self, which):
        states = copy.deepcopy(self.saved[which % len(self.saved)])
        for part, state in zip(self.parts(), states, strict=True):
            part.load_state_dict(state)
        self.held = True

    @rule(seed=st.integers(1, 3))
    def load_masks_alone(self, seed):
        other = network(seed)
        how = {"density": 0.3, "delta_t": 2, "t_end": 30}
        masks = Sparsifier(other, OPTIMIZERS["momentum"](other.parameters()), "SET", seed=seed, **how).masks
        masks = {name: masks[name] for name in self.sparsifier.masks}
        self.sparsifier.load_state_dict(self.sparsifier.state_dict() | {"masks": masks})
        self.first, self.held = self.sparsifier.counts(), True
        self.saved = []
        self.save()

    @rule()
    def load_nonsense(self):
        state = self.sparsifier.state_dict()
        try:
            self.sparsifier.load_state_dict(
                state | {"masks": {name: ~mask for name, mask in list(state["masks"].items())[1:]}}
            )
        except ValueError:
            return
        raise AssertionError("it was taken")

    @rule()
    def copy(self):
        attached = bool(self.sparsifier._hooks)
        self.model, self.optimizer, self.sparsifier = copy.deepcopy(self.parts())
        assert bool(self.sparsifier._hooks) is attached

    @rule(layer=st.sampled_from(["0", "2", "4"]))
    def freeze_or_thaw(self, layer):
        weight = self.model.get_submodule(layer).weight
        others = [w for w in self.sparsifier.weights.values() if w is not weight and w.requires_grad]
        weight.requires_grad_(not weight.requires_grad or not others)

    @precondition(lambda self: self.held)
    @rule()
    def detach(self):
        self.sparsifier.detach()

    @rule()
    def attach(self):
        self.sparsifier.attach()

    @rule()
    def apply(self):
        self.sparsifier.apply()
        self.held = True

    def parts(self):
        return self.model, self.optimizer, self.sparsifier

    @invariant()
    def masks_hold(self):
        if not hasattr(self, "sparsifier"):
            return
        assert self.sparsifier.counts() == {name: int(mask.sum()) for name, mask in self.sparsifier.masks.items()}
        if self.held:
            assert_holds(self.sparsifier, START.get(self.kind, 0.0))
        if self.sparsifier.method.name in STANDING:
            assert self.sparsifier.counts() == self.first
        elif self.sparsifier.method.share:
            assert sum(self.sparsifier.counts().values()) == sum(self.first.values())


TestTraining = Training.TestCase
TestTraining.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
