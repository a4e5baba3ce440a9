"""Layers that the report's networks lack: grouped and depthwise, 1-d and 3-d, shared, frozen, left out by name."""

import copy
import math
import subprocess
import sys
import threading

import pytest
import reference
import torch
import torchvision
from test_other_models import MOVING, assert_inactive_is_zero, batches, counted, sparsified, train
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb import flops
from rigl_nb.layers import maskable

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@pytest.mark.parametrize("dimension", CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_convolutions_of_any_kind(dimension, groups):
    """Counts, every update and the cost, against the definitions: a grouped convolution has c_in/groups inputs."""
    torch.manual_seed(0)
    kind, box, image = CONVOLUTIONS[dimension], (3,) * dimension, (8, *(5,) * dimension)
    convolutions = kind(8, 16, 3, groups=groups), nn.ReLU(), kind(16, 16, 3, groups=16)
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16, 10))
    sparsifier = sparsified(model, density=0.3, t_end=8)
    shapes = {"0.weight": (16, 8 // groups, *box), "2.weight": (16, 1, *box), "4.weight": (10, 16)}
    densities = reference.erdos_renyi(shapes, reference.exact(0.3), kernel=True)
    assert sparsifier.counts() == reference.largest_remainder(shapes, densities)
    places = {"0.weight": 3**dimension, "2.weight": 1, "4.weight": 1}  # of the kernel; the sides are 5, 3, 1
    dense = {name: 2 * math.prod(shape) * places[name] for name, shape in shapes.items()}
    assert flops.layer_flops(model, image) == dense
    assert sum(dense.values()) == counted(model, *image)
    sparse = sum(2 * count * places[name] for name, count in sparsifier.counts().items())
    assert flops.inference_flops(model, image, sparsifier.densities()) == pytest.approx(sparse, rel=1e-12)
    for t, (x, y) in enumerate(batches(image, 6)):
        sparsifier.optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        old = {
            name: (
                *(v.detach().numpy().copy() for v in (weight, weight.grad, sparsifier.masks[name])),
                0.15 * (1 + math.cos(math.pi * t / 8)),
                sparsifier.optimizer.state[weight].get("momentum_buffer", torch.zeros(())).numpy().copy(),
            )
            for name, weight in sparsifier.weights.items()
        }
        assert sparsifier.step() is (t % 2 == 1)
        assert_inactive_is_zero(sparsifier)
        for name, weight in sparsifier.weights.items() if t % 2 else ():
            now = sparsifier.masks[name], weight.detach(), sparsifier.optimizer.state[weight]["momentum_buffer"]
            for ours, theirs in zip(now, reference.rigl_update(*old[name]), strict=True):
                assert torch.equal(ours, torch.from_numpy(theirs)), (name, t)


class Tied(nn.Module):
    """A word model: what reads a word also writes it, and one layer is used twice."""

    def __init__(self):
        super().__init__()
        self.body, self.read, self.write = nn.Linear(8, 8), nn.Embedding(10, 8), nn.Linear(8, 10)
        self.write.weight = self.read.weight

    def forward(self, words):
        return self.write(self.body(self.body(self.read(words)).relu()))


@pytest.mark.parametrize("method", [*MOVING, "Static"])
def test_shared_weights_have_one_mask(method):
    torch.manual_seed(0)
    model, words = Tied(), torch.arange(10)
    sparsifier = sparsified(model, method)
    sizes = {"body.weight": 64, "read.weight": 80}
    if method == "Pruning":
        del sizes["body.weight"]  # the first layer stays dense
    assert list(sparsifier.masks) == list(sizes)
    for _ in range(6):
        sparsifier.optimizer.zero_grad()
        cross_entropy(model(words), words.flip(0)).backward()
        sparsifier.step()
        assert_inactive_is_zero(sparsifier)
        off = ~sparsifier.masks["read.weight"]
        assert model.write.weight is model.read.weight
        assert not model.write.weight[off].any() and not model.read(words)[off].any()
    assert sum(sparsifier.counts().values()) == math.floor(0.2 * sum(sizes.values()) + 0.5)


def test_a_shared_layer_costs_at_every_place():
    shared = nn.Linear(8, 8)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(8, 3))
    assert flops.layer_flops(model, (8,)) == {"0.weight": 2 * 2 * 64, "3.weight": 2 * 24}
    assert flops.inference_flops(model, (8,)) == counted(model, 8)
    assert flops.inference_flops(model, (8,), {"0.weight": 0.5}) == 128 + 48


@pytest.mark.parametrize("method", MOVING)
def test_frozen_parameters_are_left_alone(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10))
    for parameter in (*model[0].parameters(), model[2].weight):
        parameter.requires_grad_(False)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert list(frozen) == ["0.weight", "0.bias", "2.weight"]
    sparsifier = sparsified(model, method)
    assert sum(train(model, sparsifier, (6,))) >= 2
    assert sparsifier.counts() == {"4.weight": 24}
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in frozen.items())


EVERY = [*(f"{i}.weight" for i in range(11)), "11.inner.weight", "11.outer.weight"]


@pytest.mark.parametrize(
    ("exclude", "out"),
    [
        (["1"], {"1.weight"}),  # and neither 10 nor 11
        (["1.weight", "10"], {"1.weight", "10.weight"}),
        (["11.inner.weight", "0"], {"11.inner.weight", "0.weight"}),
        (["11"], {"11.inner.weight", "11.outer.weight"}),
    ],
)
@pytest.mark.parametrize("init", ["ERK", "Random"])
def test_layers_and_modules_are_excluded_by_name(exclude, out, init):
    torch.manual_seed(0)
    block = nn.ModuleDict({"inner": nn.Linear(10, 10), "outer": nn.Linear(10, 10)})
    model = nn.Sequential(*(nn.Linear(10, 10) for _ in range(11)), block)
    whole = {name: model.get_parameter(name).detach().clone() for name in out}
    sparsifier = sparsified(model, init=init, exclude=exclude)
    covered = [name for name in EVERY if name not in out and (init == "ERK" or name != "0.weight")]
    assert list(sparsifier.masks) == covered
    assert sum(sparsifier.counts().values()) == 20 * len(covered)  # the budget is that of the layers that are left
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in whole.items())


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_single_layer_is_a_model(optimizer):
    torch.manual_seed(0)
    model = nn.Linear(30, 10)
    sparsifier = sparsified(model, optimizer=optimizer)
    assert sum(train(model, sparsifier, (30,))) == 2
    assert sparsifier.counts() == {"weight": 60}
    assert flops.inference_flops(model, (30,), sparsifier.densities()) == 120


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


@pytest.mark.parametrize("dimension", CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(dimension, groups):
    """Every pixel that goes in meets the whole kernel."""
    torch.manual_seed(0)
    kind = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dimension]
    model = nn.Sequential(kind(4, 6, 3, stride=2, groups=groups), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
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


def test_a_weight_that_another_layer_applies_is_counted_and_named():
    """torchvision's Swin multiplies by a linear layer's weight without calling the layer."""
    torch.manual_seed(0)
    model = torchvision.models.SwinTransformer([4, 4], 16, [2], [2], [4, 4], num_classes=10)
    cost = flops.layer_flops(model, (3, 16, 16))
    assert cost["features.1.0.attn.qkv.weight"] == 2 * 3 * 16 * 16 * 16
    assert sum(cost.values()) == counted(model, 3, 16, 16)


class Standardised(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, None)


def test_a_weight_that_is_computed_counts_as_dense_and_is_named():
    model = nn.Sequential(Standardised(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1))
    with pytest.warns(UserWarning, match=r"^0\.weight: no product of it was seen"):
        cost = flops.layer_flops(model, (3, 5, 5))
    assert cost == {flops.OTHER: 2 * 108 * 9, "2.weight": 2 * 16 * 9, "0.weight": 0}
    assert flops.weighted(cost, {"0.weight": 0.1, "2.weight": 0.5}) == 2 * 108 * 9 + 16 * 9


class Words(nn.Module):
    """Tokens in, scores out, and something that no copy can be made of."""

    def __init__(self):
        super().__init__()
        self.read, self.body, self.write = nn.Embedding(11, 8), nn.GRU(8, 4, batch_first=True), nn.Linear(4, 11)
        self.free, self.lock = nn.Parameter(torch.randn(8, 8)), threading.Lock()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, tokens, scale=None):
        x = self.read(tokens) @ self.free
        x = self.body(x if scale is None else x * scale)[0]
        return self.write(self.norm(x.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("form", ["tensor", "tuple", "dict"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_cost_of_tokens_in_any_precision_of_a_model_that_cannot_be_copied(form, kind):
    model = Words().to(kind).train()
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(model)
    before = copy.deepcopy(model.state_dict())
    tokens, calls = torch.zeros(1, 7, dtype=torch.int64), []
    model.body.register_forward_hook(lambda *_: calls.append(1))
    example = {"tensor": tokens, "tuple": (tokens, torch.ones(())), "dict": {"scale": None, "tokens": tokens}}[form]
    cost = flops.layer_flops(model, example)
    assert cost == {
        flops.OTHER: 2 * 64 * 7,
        **{f"body.weight_{w}_l0": 2 * n * 7 for w, n in (("ih", 96), ("hh", 48))},
        "write.weight": 2 * 44 * 7,
    }
    assert not calls and all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_cost_of_half_precision():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 10))
    cost = flops.layer_flops(model, (3, 5, 5))
    assert flops.layer_flops(copy.deepcopy(model).bfloat16(), (3, 5, 5)) == cost
    assert flops.layer_flops(copy.deepcopy(model).half(), (3, 5, 5)) == cost

    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = copy.deepcopy(model)

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.body(x)

    assert flops.layer_flops(Cast(), (3, 5, 5)) == {f"body.{name}": value for name, value in cost.items()}


def test_an_operation_that_torch_does_not_know_is_named():
    @torch.library.custom_op("rigl_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    class Custom(nn.Linear):
        def forward(self, x):
            return twice(super().forward(x))

    with pytest.warns(UserWarning, match="rigl_test.twice.*not counted"):
        assert flops.layer_flops(Custom(4, 4), (4,)) == {"weight": 32}


def test_counting_imports_no_compiler():
    """A private switch of torch's keeps it out, for seconds of every process; this test notices its end."""
    code = "import sys, torch; from rigl_nb import flops; flops.layer_flops(torch.nn.Conv2d(3, 4, 3), (3, 8, 8));"
    code += "sys.exit(str([m for m in ('torch._dynamo', 'sympy') if m in sys.modules] or ''))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""


def test_an_embedding_is_the_first_layer():
    """Under Random and Pruning the first layer stays dense: an embedding is, so nothing else is left out."""
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 4))
    assert list(maskable(model, first_layer=False)) == ["1.weight", "2.weight"]
    assert list(maskable(nn.Sequential(*model[1:]), first_layer=False)) == ["1.weight"]
