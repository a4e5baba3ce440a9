"""Attention, recurrent, transposed and bilinear layers: all their matrices are masked and counted."""

import math

import pytest
import torch
import torchvision
from test_other_models import MOVING, counted, sparsified, train
from torch import nn

from rigl_nb import flops
from rigl_nb.models.layers import maskable

TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@pytest.mark.parametrize("method", MOVING)
def test_attention_is_masked_as_a_whole(method):
    """Its input projection is a bare parameter, in no layer of its own; its output projection is a linear layer."""
    torch.manual_seed(0)
    attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model = nn.Sequential(attention, nn.Flatten(), nn.Linear(5 * 8, 10))
    sparsifier = sparsified(model, method)
    sizes = {"0.self_attn.in_proj_weight": 192, "0.self_attn.out_proj.weight": 64}
    sizes |= {"0.linear1.weight": 128, "0.linear2.weight": 128, "2.weight": 400}
    if method == "Pruning":
        del sizes["0.self_attn.in_proj_weight"]  # the first layer stays dense
    assert list(sparsifier.masks) == list(sizes)
    assert sum(train(model, sparsifier, (5, 8))) >= 2
    assert sum(sparsifier.counts().values()) == math.floor(0.2 * sum(sizes.values()) + 0.5)
    assert list(sparsified(model, method, exclude="0.self_attn").masks)[-1] == "2.weight"
    assert not any("self_attn" in name for name in sparsified(model, method, exclude="0.self_attn").masks)


def test_cost_of_attention():
    """Every projection at every word, by hand; the two products of activations beside them are torch's count."""
    words, width, depth = 5, 8, 2
    layer = nn.TransformerEncoderLayer(width, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
    cost = flops.layer_flops(model, (words, width))
    products = depth * 2 * 2 * words**2 * width
    assert cost.pop(flops.OTHER) == products
    assert cost["layers.0.self_attn.in_proj_weight"] == 2 * 3 * 64 * words
    assert set(cost.values()) == {2 * 64 * words, 2 * 128 * words, 2 * 192 * words} and len(cost) == 4 * depth
    assert counted(model, words, width) == sum(cost.values()) + products
    sparsifier = sparsified(model)
    assert flops.inference_flops(model, (words, width), sparsifier.densities()) == pytest.approx(
        2 * words * sum(sparsifier.counts().values()) + products, rel=1e-12
    )


@pytest.mark.parametrize("kinds", [(8, 8), (6, 4)], ids=["one width", "three widths"])
def test_attention_between_two_sequences(kinds):
    """Queries at their positions, keys and values at theirs; of other widths they have matrices of their own."""

    class Cross(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, kdim=kinds[0], vdim=kinds[1], batch_first=True)

        def forward(self, queries, keys, values):
            return self.attention(queries, keys, values)[0]

    model, (q, k) = Cross(), (3, 7)
    cost = flops.layer_flops(model, (torch.ones(1, q, 8), torch.ones(1, k, kinds[0]), torch.ones(1, k, kinds[1])))
    scores = 2 * 2 * q * k * 8
    inputs = 2 * 8 * (8 * q + kinds[0] * k + kinds[1] * k)
    assert cost.pop(flops.OTHER) == scores and cost.pop("attention.out_proj.weight") == 2 * 64 * q
    assert sum(cost.values()) == inputs and len(cost) == (1 if kinds == (8, 8) else 3)
    assert set(cost) < set(maskable(model))


def test_a_transformer_costs_what_its_masks_say():
    """torchvision's vision transformer: nearly all of it can be masked, so a tenth of the weights is nearly a tenth."""
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(32, 8, 3, 4, 64, 128, num_classes=10)
    nn.init.normal_(model.heads.head.weight)  # torchvision's is 0, and nothing would flow
    sparsifier = sparsified(model, density=0.1)
    weights = {
        name: p for name, p in model.named_parameters() if p.ndim > 1 and "token" not in name and "pos" not in name
    }
    assert set(sparsifier.masks) == set(weights)
    image, positions = (3, 32, 32), {"conv_proj.weight": 16, "heads.head.weight": 1}
    cost = flops.layer_flops(model, image)
    other = cost.pop(flops.OTHER)
    assert cost == {name: 2 * p.numel() * positions.get(name, 17) for name, p in weights.items()}
    assert other == 3 * 2 * 2 * 17**2 * 64
    sparse = flops.inference_flops(model, image, sparsifier.densities())
    assert sparse == pytest.approx(sum(c * sparsifier.densities()[n] for n, c in cost.items()) + other)
    assert sum(train(model, sparsifier, image, steps=4)) == 2
    assert other < sparse < 0.2 * (sum(cost.values()) + other)


RECURRENT = {
    "RNN": (lambda: nn.RNN(6, 4), {"weight_ih_l0": 24, "weight_hh_l0": 16}),
    "GRU": (
        lambda: nn.GRU(6, 4, num_layers=2),
        {"weight_ih_l0": 72, "weight_hh_l0": 48, "weight_ih_l1": 48, "weight_hh_l1": 48},
    ),
    "LSTM": (lambda: nn.LSTM(6, 4), {"weight_ih_l0": 96, "weight_hh_l0": 64}),
    "both ways": (
        lambda: nn.GRU(6, 4, bidirectional=True),
        {"weight_ih_l0": 72, "weight_hh_l0": 48, "weight_ih_l0_reverse": 72, "weight_hh_l0_reverse": 48},
    ),
    "projected": (lambda: nn.LSTM(6, 4, proj_size=2), {"weight_ih_l0": 96, "weight_hh_l0": 32, "weight_hr_l0": 8}),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_are_masked_and_counted(kind):
    """Each weight once at every position."""
    torch.manual_seed(0)
    build, sizes = RECURRENT[kind]
    layer = build()

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            width = (layer.proj_size or layer.hidden_size) * (1 + layer.bidirectional)
            self.layer, self.out = layer, nn.Linear(width, 10)

        def forward(self, x):
            return self.out(self.layer(x.transpose(0, 1))[0][-1])

    model = Last()
    expected = {f"layer.{name}": 2.0 * size * 7 for name, size in sizes.items()}
    expected["out.weight"] = 2.0 * model.out.weight.numel()
    assert flops.layer_flops(model, (7, 6)) == expected
    sparsifier = sparsified(model)
    assert list(sparsifier.masks) == list(expected)
    assert sum(train(model, sparsifier, (7, 6))) == 2
    assert sum(sparsifier.counts().values()) == math.floor(
        0.2 * sum(m.numel() for m in sparsifier.masks.values()) + 0.5
    )


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_cells_are_recurrent_layers(cell):
    model = cell(6, 4)
    gates = {nn.RNNCell: 1, nn.GRUCell: 3, nn.LSTMCell: 4}[cell]
    assert flops.layer_flops(model, (6,)) == {"weight_ih": 2 * gates * 24, "weight_hh": 2 * gates * 16}
    assert set(maskable(model)) == {"weight_ih", "weight_hh"}


@pytest.mark.parametrize("dimension", TRANSPOSED)
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(dimension, groups):
    """Every pixel that goes in meets the whole kernel."""
    torch.manual_seed(0)
    model = nn.Sequential(
        TRANSPOSED[dimension](4, 6, 3, stride=2, groups=groups), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
    )
    image = (4, *(3,) * dimension)
    model(torch.zeros(1, *image))
    weight = model[0].weight
    assert weight.shape == (4, 6 // groups, *(3,) * dimension)
    cost = flops.layer_flops(model, image)
    assert cost == {"0.weight": 2 * weight.numel() * 3**dimension, "3.weight": 2 * model[3].weight.numel()}
    assert sum(cost.values()) == counted(model, *image)
    sparsifier = sparsified(model)
    assert list(sparsifier.masks) == ["0.weight", "3.weight"]
    assert sum(train(model, sparsifier, image)) == 2


def test_bilinear_layers():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = nn.Bilinear(4, 5, 6)

        def forward(self, x):
            return self.pair(x, x.new_ones(*x.shape[:-1], 5))

    model = Pair()
    assert flops.layer_flops(model, (3, 4)) == {"pair.weight": 2 * 120 * 3}
    assert list(sparsified(model).masks) == ["pair.weight"]


def test_an_embedding_is_the_first_layer():
    """Under Random and Pruning the first layer stays dense: an embedding is, so nothing else is left out."""
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 4))
    assert list(maskable(model, first_layer=False)) == ["1.weight", "2.weight"]
    assert list(maskable(nn.Sequential(*model[1:]), first_layer=False)) == ["1.weight"]
