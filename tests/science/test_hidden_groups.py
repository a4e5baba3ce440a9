"""Hidden channels of other people's models: found by a trace, checked by running, made sparse, and compacted."""

import copy
import importlib.util

import pytest
import torch
import torchvision
from torch import nn

from rigl_nb.compact import compact
from rigl_nb.deploy import groups
from rigl_nb.deploy.groups import hidden_groups
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier

WHY = "needs tests/deploy.lock: pip install --no-deps -r tests/deploy.lock"
tracing = pytest.mark.skipif(importlib.util.find_spec("torch_pruning") is None, reason=WHY)
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vgg():
    """Plain: convolutions, norms, pooling; the last channels are flattened for the first linear layer."""
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(12 * 16, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 10))


def resnet18():
    """Torchvision's, whose last norm of every block starts at 0: no channel of it shows at the output."""
    return torchvision.models.resnet18(num_classes=10, zero_init_residual=True)


FOUND = {
    vgg: (("0", "1", "4"), ("4", "5", "9"), ("9", "12")),
    resnet18: tuple(
        tuple(f"layer{group}.{block}.{name}" for name in ("conv1", "bn1", "conv2"))
        for group in (1, 2, 3, 4)
        for block in (0, 1)
    ),
}


@tracing
@pytest.mark.parametrize("make", FOUND, ids=lambda make: make.__name__)
def test_found_made_sparse_and_compacted(make):
    torch.manual_seed(0)
    net = make().double()
    before, mode = copy.deepcopy(net.state_dict()), net.training
    found = hidden_groups(net, IMAGES.double())
    assert found == FOUND[make]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()) and net.training == mode
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        for values in (norm.weight.data, norm.bias.data, norm.running_mean):
            values.normal_()
        norm.running_var.uniform_(0.5, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    made = Sparsifier(net, optimizer, "Static", "Random", 0.6, structure=Channel(groups=found))
    small, x = compact(net.eval(), made), IMAGES.double()
    with torch.no_grad():
        wanted = net(x)
        assert wanted.std() > 1e-2
        torch.testing.assert_close(small(x), wanted, rtol=0, atol=1e-9 * wanted.abs().max().item())
    sizes = [sum(p.numel() for p in module.parameters()) for module in (small, net)]
    assert sizes[0] < 0.7 * sizes[1]


@tracing
def test_depthwise_convolutions_stand_between():
    found = hidden_groups(torchvision.models.mobilenet_v2(num_classes=10, width_mult=0.25), IMAGES[:1])
    blocks = [f"features.{block}.conv" for block in range(2, 18)]
    assert {tuple(f"{b}.{i}" for i in ("0.0", "0.1", "1.0", "1.1", "2")) for b in blocks} <= set(found)


class Between(nn.Module):
    """A convolution, something, and what reads it."""

    def __init__(self, something):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)
        self.norm, self.something = nn.GroupNorm(2, 8), something

    def forward(self, x):
        return self.c(self.something(self, self.a(x)).mean((2, 3)))


ALONE = {
    "relu": lambda net, h: net.b(h.relu()),
    "scaled": lambda net, h: net.b(2 * h.tanh()),
}
RUN, TRACE = "is read by more than b, or its channels are mixed", "shares its channels with b"
MIXING = {
    "softmax": (RUN, lambda net, h: net.b(h.softmax(1))),
    "mean": (RUN, lambda net, h: net.b(h - h.mean(1, keepdim=True))),
    "one swap": (RUN, lambda net, h: net.b(h[:, [1, 0, *range(2, 8)]])),
    "roll": (RUN, lambda net, h: net.b(h.roll(1, 1))),
    "cumsum": (RUN, lambda net, h: net.b(h.cumsum(1))),
    "shuffle": (RUN, lambda net, h: net.b(h.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2))),
    "norm of groups": (RUN, lambda net, h: net.b(net.norm(h))),
    "a second reader": (TRACE, lambda net, h: net.b(h) + nn.functional.conv2d(h, net.b.weight.roll(1, 0))),
    "a look from aside": (RUN, lambda net, h: net.b(h.relu() * h.mean().exp())),
}


@tracing
@pytest.mark.parametrize("kind", [*ALONE, *MIXING])
def test_the_trace_is_not_believed(kind):
    """It knows no operation between layers that mixes channels; a run tells them apart."""
    torch.manual_seed(0)
    net = Between(ALONE.get(kind) or MIXING[kind][1])
    if kind in ALONE:
        assert hidden_groups(net, IMAGES) == (("a", "b"), ("b", "c"))
        return
    with pytest.raises(ValueError, match=f"no hidden channels: 'a' {MIXING[kind][0]}"):
        hidden_groups(net, IMAGES, writers=["a"])


class Outside(nn.Module):
    def __init__(self, inner, hold):
        super().__init__()
        self.inner, self.hold = inner, hold

    def forward(self, x):
        return self.hold(self.inner(x))


@tracing
@pytest.mark.parametrize("hold", [lambda y: {"outputs": [y]}, lambda y: (torch.ones(2), y)], ids=["dict", "tuple"])
def test_outputs_are_looked_for_in_what_holds_them(hold):
    torch.manual_seed(0)
    assert hidden_groups(Outside(Between(ALONE["relu"]), hold), IMAGES)[0] == ("inner.a", "inner.b")
    with pytest.raises(ValueError, match=f"'inner.a' {RUN.replace('than b', 'than inner.b')}"):
        hidden_groups(Outside(Between(MIXING["softmax"][1]), hold), IMAGES, writers=["inner.a"])


@tracing
def test_a_zero_behind_hides_nothing():
    """As the last norm of a residual block is at first: the output knows nothing of what was before it."""
    net = Between(MIXING["softmax"][1])
    nn.init.zeros_(net.c.weight)
    with pytest.raises(ValueError, match=f"'a' {RUN}"):
        hidden_groups(net, IMAGES, writers=["a"])


@tracing
def test_without_an_output_nothing_is_believed(monkeypatch):
    monkeypatch.setattr(groups, "_tensors", lambda output: [])
    with pytest.raises(ValueError, match="'a' cannot be checked: the model's output holds no tensor"):
        hidden_groups(Between(ALONE["relu"]), IMAGES)


@tracing
def test_a_residual_stream_is_no_hidden_channel_and_the_error_says_why():
    net = resnet18()
    for name, why in {
        "conv1": r"shares its channels with layer1\.[01]\.conv2, layer1\.[01]\.conv2",
        "layer2.0.downsample.0": "shares its channels with layer2",
        "fc": "is read by no layer",
    }.items():
        with pytest.raises(ValueError, match=f"no hidden channels: '{name}' {why}"):
            hidden_groups(net, IMAGES, writers=["layer1.0.conv1", name])
    assert hidden_groups(net, IMAGES, writers=["layer1.0.conv1"]) == FOUND[resnet18][:1]
    with pytest.raises(ValueError, match=r"writer 'bn1' is not allowed: the layers are conv1, layer1\.0\.conv1"):
        hidden_groups(net, IMAGES, writers=["bn1"])


class Forked(nn.Module):
    """Channels that several layers read."""

    def __init__(self, heads):
        super().__init__()
        self.a, self.heads = nn.Conv2d(3, 8, 3), nn.ModuleList(nn.Conv2d(8, 4, 3) for _ in range(heads))

    def forward(self, x):
        h = self.a(x).relu()
        return {"outputs": [head(h) for head in self.heads]}


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2)

    def forward(self, x):
        raise RuntimeError("not today\nnor tomorrow")


@tracing
def test_what_cannot_be_followed_is_told():
    words = r"'a' is read by heads\.0, heads\.1; 'heads\.0' is read by no layer; 'heads\.1' is read by no layer$"
    with pytest.raises(ValueError, match=f"no hidden channels: {words}"):
        hidden_groups(Forked(2), IMAGES)
    with pytest.raises(ValueError, match=r"; and 2 more$"):
        hidden_groups(Forked(4), IMAGES)
    with pytest.raises(ValueError, match=r"Torch-Pruning cannot follow Broken: not today$"):
        hidden_groups(Broken(), IMAGES)


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs torch-pruning: install it by pip install 'rigl_nb\[tracing\]'"):
        hidden_groups(nn.Linear(2, 2), torch.zeros(1, 2))
