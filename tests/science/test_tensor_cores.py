"""Linear layers under two of four, stored by torch: which can be, why the others cannot, and that nothing is lost.

Without a GPU torch's own conversion stands in for its storage: to half of the numbers and their places, and back.
"""

import pytest
import torch
from torch import nn
from torch.sparse import _semi_structured_conversions as torchs

from rigl_nb.deploy import tensor_cores
from rigl_nb.deploy.tensor_cores import semi_structured
from rigl_nb.sparsifier import Sparsifier

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def sparse(net, structure="2:4"):
    return Sparsifier(
        net, torch.optim.SGD(net.parameters(), 0.1), "Static", "Random", 0.5, exclude=["0"], structure=structure
    )


def network():
    """Two layers fit: not the convolution, nor the one of 10 outputs or of 24 inputs; the first is left out."""
    torch.manual_seed(0)
    linear = [nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 24), nn.Linear(24, 32)]
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 32, 2), nn.Flatten(), *linear, nn.Linear(32, 10))
    return net, sparse(net)


FIT = ["3", "5"]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_layers_that_fit_are_stored_without_loss_and_the_others_stay(kind, monkeypatch):
    net, made = network()
    net, asked = net.to(kind), []

    def storage(dense):
        assert dense.is_contiguous() and dense.dtype == kind
        kept, places = torchs.sparse_semi_structured_from_dense_cutlass(dense)
        assert kept.shape == (len(dense), dense.shape[1] // 2)
        asked.append(dense)
        return torchs.sparse_semi_structured_to_dense_cutlass(kept, places)

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", storage)
    names = tensor_cores.fitting(net, made)
    assert names == FIT
    twin, x = tensor_cores.converted(net, names), torch.randn(5, 3, 4, 4).to(kind)
    assert [tuple(dense.shape) for dense in asked] == [(64, 32), (96, 64)] and net.training and not twin.training
    for name, module in twin.named_modules():
        if isinstance(module, nn.Linear):
            assert module.weight.requires_grad == (name not in FIT)
            assert torch.equal(module.weight, net.get_submodule(name).weight)
            assert module.weight.data_ptr() != net.get_submodule(name).weight.data_ptr()
    with torch.no_grad():
        assert torch.equal(twin(x), net.eval()(x)) and twin(x).std() > 0


def test_what_cannot_be_stored_is_told():
    net, made = network()
    with pytest.raises(ValueError, match=r"no layer fits: '1' is no linear layer but Conv2d; '3' is in float32: take"):
        semi_structured(net, made)
    few = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 24)).bfloat16()
    with pytest.raises(ValueError, match=r"no layer fits: '1' has 24×8 weights, no multiples of 16$"):
        semi_structured(few, sparse(few))
    other = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16))
    with pytest.raises(ValueError, match="structure fan-in is not allowed: make the Sparsifier with '2:4'"):
        semi_structured(other, sparse(other, "fan-in"))
    with pytest.raises(ValueError, match="model Linear is not the sparsifier's: it has no such layer"):
        semi_structured(nn.Linear(8, 8), made)
    net.bfloat16()[3].weight.data += 1
    with pytest.raises(ValueError, match=r"layer '3\.weight' is not under the sparsifier's mask"):
        semi_structured(net, made)


@pytest.mark.parametrize("lacking", ["GPU", "library", "move"])
def test_it_needs_a_gpu(lacking, monkeypatch):
    net, made = network()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: lacking != "GPU")
    monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: lacking != "library")
    words = (
        "layer '3' is not on a GPU: take model" if lacking == "move" else "by an NVIDIA GPU with cuSPARSELt, and torch"
    )
    with pytest.raises(ValueError, match=words):
        semi_structured(net.bfloat16(), made)


@gpu
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_on_a_gpu_it_computes_the_same(kind):
    net, made = network()
    net = net.to("cuda", kind)
    twin = semi_structured(net, made)
    for name in FIT:
        stored = twin.get_submodule(name).weight
        assert type(stored.data).__name__.startswith("SparseSemiStructured")
        assert torch.equal(stored.to_dense(), net.get_submodule(name).weight)
    x = torch.randn(64, 3, 4, 4, device="cuda").to(kind)
    with torch.no_grad():
        torch.testing.assert_close(twin(x), net.eval()(x), rtol=2e-2, atol=2e-2)
