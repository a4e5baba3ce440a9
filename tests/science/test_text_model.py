"""The network of text: its numbers by hand, where its weights come from, what is masked and counted."""

import math

import numpy as np
import pytest
import torch

from rigl_nb import flops, models
from rigl_nb.data.sources import SOURCES
from rigl_nb.rng import numpy_generator


def net(state=12, symbols=7, seed=0, **options):
    return models.build(f"gru-{state}", symbols, rng=numpy_generator(seed, "weights"), **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_logits_by_hand():
    """The gates of Cho et al. in plain numpy: reset and update of the state, one symbol after the other."""
    model, symbols = net(), [3, 0, 6, 6, 1]
    w = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    state, wanted = np.zeros(12), []
    for symbol in symbols:
        x = w["gru.weight_ih_l0"] @ w["embedding.weight"][symbol] + w["gru.bias_ih_l0"]
        h = w["gru.weight_hh_l0"] @ state + w["gru.bias_hh_l0"]
        reset, update = sigmoid(x[:12] + h[:12]), sigmoid(x[12:24] + h[12:24])
        state = (1 - update) * np.tanh(x[24:] + reset * h[24:]) + update * state
        wanted.append(w["readout.weight"] @ state + w["readout.bias"])
    logits = model(torch.tensor([symbols, symbols]))
    assert logits.shape == (2, 7, 5)
    assert np.allclose(logits[1].detach().numpy(), np.array(wanted).T, atol=1e-6)


def test_no_symbol_sees_what_follows():
    model, given = net(), torch.tensor([[1, 2, 3, 4]])
    other = given.clone()
    other[0, 2] = 6
    a, b = model(given)[0], model(other)[0]
    assert torch.equal(a[:, :2], b[:, :2]) and not torch.allclose(a[:, 2:], b[:, 2:])


def test_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    one, same, other = net(seed=1), net(seed=1), net(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    for name, value in one.named_parameters():
        assert torch.equal(value, same.get_parameter(name)), name
        assert name == "readout.bias" or not torch.equal(value, other.get_parameter(name)), name


def test_sizes_of_the_first_weights():
    model = net(state=64, symbols=90)
    bound = 1 / math.sqrt(64)
    for name, value in model.gru.named_parameters():
        assert value.abs().max() <= bound and value.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
    assert model.embedding.weight.std().item() == pytest.approx(1, rel=0.1)
    assert model.readout.weight.abs().max() <= bound and not model.readout.bias.any()


def test_what_is_masked_and_what_it_costs():
    """An embedding comes first and is dense, so also Random masks all matrices; a look-up costs nothing."""
    model, masked = net(), ["gru.weight_ih_l0", "gru.weight_hh_l0", "readout.weight"]
    assert list(models.maskable(model)) == list(models.maskable(model, first_layer=False)) == masked
    cost = flops.layer_flops(model, torch.zeros(1, 5, dtype=torch.int64))
    assert cost == {masked[0]: 2 * 5 * 36 * 3, masked[1]: 2 * 5 * 36 * 12, masked[2]: 2 * 5 * 7 * 12}
    half = flops.inference_flops(model, torch.zeros(1, 5, dtype=torch.int64), dict.fromkeys(masked, 0.5))
    assert half == sum(cost.values()) / 2


def test_one_input_of_each_source():
    assert SOURCES["digits"].example == (1, 8, 8)
    example = SOURCES["pydoc"].example
    assert example.shape == (1, 64) and example.dtype == torch.int64
    assert (SOURCES["pydoc"].unit, SOURCES["digits"].unit) == ("window", "image")


def test_a_narrow_one():
    model = net(state=20, width=math.sqrt(0.25))
    assert (model.gru.hidden_size, model.embedding.embedding_dim, model.readout.in_features) == (10, 2, 10)


@pytest.mark.parametrize("name", ["gru", "gru-", "gru-0", "gru-9", "gru-016", "gru-16-2", "lstm-16", "gru-x"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"gru-<state from 10>"):
        models.build(name, 7)
