"""What FLOPs say of models in which more than layers multiply, or that are hard to run: they never say too little."""

import copy
import subprocess
import sys
import threading

import pytest
import torch
import torchvision
from test_other_models import counted
from torch import nn

from rigl_nb import flops


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
