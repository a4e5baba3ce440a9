"""Two processes train one network with DistributedDataParallel: nothing is sent but the gradients that it averages."""

import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from rigl_nb.sparsifier import Sparsifier

METHODS, STEPS, ROWS, RANKS = ("RigL", "SET", "SNFS", "Pruning"), 20, 8, 2
EVERYTHING = slice(None)


def network(seed):
    torch.manual_seed(seed)
    layers = nn.Conv2d(2, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10)).double()  # rounding must not decide a ranking


def train(model, method, rows):
    """Train on these rows of every batch; return all weights, masks and momenta, and how many mask entries moved."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    sparsifier = Sparsifier(model, optimizer, method, density=0.3, alpha=0.5, delta_t=4, t_end=16)
    stream, moved = torch.Generator().manual_seed(0), 0
    for _ in range(STEPS):
        x = torch.randn(RANKS * ROWS, 2, 6, 6, generator=stream, dtype=torch.double)[rows]
        y = torch.randint(0, 10, (RANKS * ROWS,), generator=stream)[rows]
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        before = {name: mask.clone() for name, mask in sparsifier.masks.items()}
        if sparsifier.step():
            moved += sum(int((mask != sparsifier.masks[name]).sum()) for name, mask in before.items())
    momenta = {name: optimizer.state[p]["momentum_buffer"] for name, p in model.named_parameters()}
    found = {"weights": dict(model.state_dict()), "masks": sparsifier.masks, "momenta": momenta}
    return {kind: {k.removeprefix("module."): v for k, v in part.items()} for kind, part in found.items()}, moved


def rank_rows(rank):
    return slice(rank * ROWS, (rank + 1) * ROWS)


def work(rank, folder):
    """Train with every method as one of the processes; each begins with weights of its own, DDP sends the first's."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    found = {m: train(DistributedDataParallel(network(rank)), m, rank_rows(rank)) for m in METHODS}
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    torch.multiprocessing.start_processes(work, (folder,), nprocs=RANKS, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("method", METHODS)
def test_every_process_has_the_same_masks_and_weights(ranks, method):
    (first, moved), (second, _) = (found[method] for found in ranks)
    assert moved > 50  # four updates at least, and each moved something
    for kind in ("weights", "masks", "momenta"):
        assert first[kind].keys() == second[kind].keys() and first[kind]
        for name, values in first[kind].items():
            assert torch.equal(values, second[kind][name]), (kind, name)


@pytest.mark.parametrize("method", METHODS)
def test_together_they_are_one_process_with_the_whole_batch(ranks, method):
    (found, moved), (alone, moved_alone) = ranks[0][method], train(network(0), method, EVERYTHING)
    assert moved == moved_alone
    for name, mask in alone["masks"].items():
        assert torch.equal(mask, found["masks"][name]), name
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(found["weights"][name], weight, rtol=1e-9, atol=1e-12)


def test_one_half_of_the_batch_leads_elsewhere(ranks):
    """The processes saw different images: each alone would have other masks."""
    halves = [train(network(0), "RigL", rank_rows(rank))[0]["masks"] for rank in range(RANKS)]
    for masks in halves:
        assert any(not torch.equal(mask, ranks[0]["RigL"][0]["masks"][name]) for name, mask in masks.items())
    assert any(not torch.equal(mask, halves[1][name]) for name, mask in halves[0].items())
