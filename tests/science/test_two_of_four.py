"""Masks of two of four are what torch compresses for sparse tensor cores: half the numbers, and back unchanged."""

import pytest
import torch
from torch import nn
from torch.sparse import _semi_structured_conversions as torchs

from rigl_nb.sparsifier import Sparsifier


def matrix(weight):
    """A weight as the matrix that multiplies rows of pixels in channels-last memory: inputs of one place together."""
    return weight.detach().movedim(1, -1).reshape(len(weight), -1).contiguous()


def trained(steps):
    """A network under masks of two of four, after some steps of RigL on whole numbers: many equal, some 0."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 32, 3), nn.Linear(64, 96))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    options = {"alpha": 0.9, "delta_t": 2, "t_end": 100, "structure": "2:4"}
    sparse = Sparsifier(net, optimizer, "RigL", "Random", 0.5, **options)
    for p in net.parameters():
        p.data = torch.randint(-9, 10, p.shape).float()
    first = {name: mask.clone() for name, mask in sparse.masks.items()}
    for _ in range(steps):
        for p in net.parameters():
            p.grad = torch.randint(-1, 2, p.shape).float()
        sparse.step()
    sparse.apply()
    return sparse, first


def compress_and_back(dense):
    return torchs.sparse_semi_structured_to_dense_cutlass(*torchs.sparse_semi_structured_from_dense_cutlass(dense))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.int8])
@pytest.mark.parametrize("steps", [0, 7])
def test_torch_compresses_it_without_loss(kind, steps):
    sparse, first = trained(steps)
    assert list(sparse.masks) == [f"{i}.weight" for i in (1, 2, 3)]
    for name, weight in sparse.weights.items():
        assert steps == 0 or not torch.equal(first[name], sparse.masks[name]), "it moved"
        dense = matrix(weight).to(kind)
        kept, meta = torchs.sparse_semi_structured_from_dense_cutlass(dense)
        assert kept.shape == (len(dense), dense.shape[1] // 2)
        assert torch.equal(torchs.sparse_semi_structured_to_dense_cutlass(kept, meta), dense)


def test_the_proof_would_fail_on_other_masks():
    """Of a weight without the structure the compression loses something."""
    dense = torch.ones(32, 32, dtype=torch.float16)
    assert not torch.equal(compress_and_back(dense), dense)
    dense[:, 1::2] = 0
    assert torch.equal(compress_and_back(dense), dense)
