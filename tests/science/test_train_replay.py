"""Two strong checks of the loop: a resumed run is the same run, and a plain loop gives the same weights."""

import copy
import math

import numpy as np
import pytest
import reference
import torch
from driving import NATIVE, PLAIN, drive, equal, numbers, tiny

from rigl_nb import data, models
from rigl_nb.rng import numpy_generator
from rigl_nb.train import train

STOPS = (1, 3, 4, 5, 10, 11, 12, 15, 16, 21, 22)  # around updates, at and around an epoch's end, at the end
CASES = {
    "RigL": ("RigL", PLAIN, STOPS),
    "RigL in bf16": ("RigL", NATIVE, (3, 12)),
    "SET": ("SET", PLAIN, (4, 11)),
    "Static": ("Static", PLAIN, (13,)),
    "Dense": ("Dense", PLAIN, (13,)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_is_the_same_run(case, tmp_path):
    """k iterations, a file, new objects, the rest: every number and tensor as in one go."""
    method, execution, stops = CASES[case]
    spec = tiny(method)

    def look(progress):
        if progress.step in stops:
            torch.save(progress.snapshot(), tmp_path / f"{progress.step}.pt")

    result, end = drive(spec, execution, look=look)
    for stop in stops:
        state = torch.load(tmp_path / f"{stop}.pt")
        steps = []
        again, last = drive(spec, execution, state=state, look=lambda p, s=steps: s.append(p.step))
        assert steps == list(range(stop + 1, 23))
        assert numbers(again) == numbers(result), stop
        assert last is None or equal(last, end), stop


def test_resuming_twice_is_resuming_once(tmp_path):
    spec, files = tiny("SET"), [tmp_path / "a.pt", tmp_path / "b.pt"]
    result, end = drive(spec, look=lambda p: p.step == 6 and torch.save(p.snapshot(), files[0]))
    drive(spec, state=torch.load(files[0]), look=lambda p: p.step == 13 and torch.save(p.snapshot(), files[1]))
    again, last = drive(spec, state=torch.load(files[1]))
    assert numbers(again) == numbers(result)
    assert equal(last, end)


def test_time_adds_up_over_sittings():
    state = {}
    drive(tiny("Static"), look=lambda p: p.step == 9 and state.update(copy.deepcopy(p.snapshot())))
    state["seconds"] = 1000.0
    result, _ = drive(tiny("Static"), state=state)
    assert 1000 < result.seconds < 1060


def test_a_snapshot_of_another_run_is_refused():
    state = next(train(tiny(), PLAIN)).snapshot()
    for other in (tiny(seed=1), tiny(density=0.3), tiny("SET")):
        with pytest.raises(ValueError, match=tiny().run_id):
            next(train(other, PLAIN, state=state))


def cross_entropy(logits, labels, smoothing):
    """Mean over images of the cross-entropy with the smoothed target."""
    classes = logits.shape[1]
    target = torch.full_like(logits, smoothing / classes)
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(target * (logits - logits.logsumexp(1, keepdim=True))).sum(1).mean()


def nesterov(parameters, velocity, rate, mask):
    """One step of SGD by its textbook formula; the gradient of inactive weights is 0."""
    for name, p in parameters.items():
        grad = p.grad * mask.get(name, 1) + (5e-4 * p if p.ndim > 1 else 0)
        velocity[name] = grad.clone() if name not in velocity else 0.9 * velocity[name] + grad
        p -= rate * (grad + 0.9 * velocity[name])


def replay(model, masks, batches, spec):
    """The whole method as a plain loop over the recorded batches: forward, backward, update or step."""
    parameters, velocity, losses = dict(model.named_parameters()), {}, []
    for t, (x, y) in enumerate(batches):
        model.zero_grad()
        loss = cross_entropy(model(x), y, spec.label_smoothing)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            if spec.method == "RigL" and t % spec.delta_t == spec.delta_t - 1 and t < spec.t_end:
                fraction = spec.alpha / 2 * (1 + math.cos(math.pi * t / spec.t_end))
                for name, mask in masks.items():
                    p = parameters[name]
                    parts = [a.detach().numpy() for a in (p, p.grad, mask)]
                    new, weight, momentum = reference.rigl_update(*parts, fraction, velocity[name].numpy())
                    masks[name] = torch.from_numpy(new)
                    p.copy_(torch.from_numpy(weight))
                    velocity[name] = torch.from_numpy(momentum.astype(np.float32))
            else:
                rate = 0.1 * 0.2 ** (t // spec.decay_every) * min(1, (t + 1) / spec.warmup)
                nesterov(parameters, velocity, rate, masks)
    return losses


@pytest.mark.parametrize("method", ["Dense", "Static", "RigL"])
def test_a_plain_loop_gives_the_same_weights(method, monkeypatch):
    """The first ten iterations of an independent implementation: updates at 2, 5, 8, warm-up, one decay."""
    fields = {"delta_t": 3} if method == "RigL" else {}
    spec = tiny(method, dropout=0.0, decay_every=6, label_smoothing=0.1, **fields)
    batches, plain = [], data.batch

    def recorded(images, rows, source, generator=None):
        x = plain(images, rows, source, generator)
        batches.append((x.clone(), images.labels[rows].clone()))
        return x

    monkeypatch.setattr(data, "batch", recorded)
    run, masks, totals = train(spec, PLAIN), None, None
    for _ in range(10):
        state = next(run).snapshot()
        masks = masks or {name: mask.clone() for name, mask in state["sparsifier"]["masks"].items()}
        totals = state["totals"]
    model = models.build(spec.model, 10, channels=1, rng=numpy_generator(spec.seed, "weights"))
    with torch.no_grad():
        for name, mask in masks.items():
            dict(model.named_parameters())[name].mul_(mask)
    losses = replay(model, masks, batches[:10], spec)
    for name, mask in masks.items():
        assert torch.equal(mask, state["sparsifier"]["masks"][name]), name
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state["model"][name], value, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert float(totals[0]) / (10 * 128) == pytest.approx(np.mean(losses), rel=1e-5)
