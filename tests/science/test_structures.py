"""What a structure is: hand-drawn updates, first masks and their counts, errors, saving, and what a run names."""

import copy
import math

import pytest
import torch
from structured import active, pools
from test_sparsifier import Problem, equal
from torch import nn

from rigl_nb import methods
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.masking import patterns
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec

SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}


def drawn(rows):
    """A mask as a picture, or numbers as a list of rows."""
    return torch.tensor([[c == "x" for c in row] for row in rows.split()])


def test_whole_kernels_by_their_mean_size():
    """The second kernel alternates: its mean is 0, its mean size the largest, so it stays; the first one goes."""
    kernel = patterns.get("kernel")
    weight = torch.tensor([[[1.0, 1, 1, 2], [3, -3, 3, -3]], [[0, 0, 0, 0], [2, 0, 2, 2]]]).view(2, 2, 2, 2)
    mask = torch.tensor([[True, True], [False, True]])[..., None, None].expand(2, 2, 2, 2)
    kept = kernel.drop("a", weight, mask, 1)
    assert kept[:, :, 0, 0].tolist() == [[False, True], [False, True]]
    score = torch.zeros(2, 2, 2, 2)
    score[0, 0], score[1, 0, 0, 0] = 1.0, -4.5  # a large entry against a larger sum
    assert kernel.grow("a", score.abs(), kept, 1)[:, :, 0, 0].tolist() == [[False, True], [True, True]]
    score[0, 0] = 1.125  # equal sums: the earlier one, which is the just-dropped
    assert kernel.grow("a", score.abs(), kept, 1)[:, :, 0, 0].tolist() == [[True, True], [False, True]]
    assert kernel.grow("a", score.abs(), kept, 1).flatten(2).all(2).sum() == 3  # whole ones


def test_each_row_exchanges_as_many():
    fan_in = patterns.get("fan-in")
    mask, weight = drawn("xxx.. x.x.x"), torch.tensor([[5.0, 1, 2, 0, 0], [3, 0, 3, 0, 3]])
    kept = fan_in.drop("a", weight, mask, 1)
    assert torch.equal(kept, drawn("x.x.. x.x.."))  # of equal ones the last
    score = torch.tensor([[9.0, 1, 9, 3, 2], [9, 0, 9, 0, 0]])
    assert torch.equal(fan_in.grow("a", score, kept, 1), drawn("x.xx. xxx.."))  # of equal ones the first


def test_two_of_four_exchanges_the_smallest_of_all_fours():
    """Only one weight of a four is ever at stake, also where both are smaller than any other."""
    pattern = patterns.get("2:4")
    mask = drawn("xx.. .xx. x..x")
    weight = torch.tensor([[1.0, 2, 0, 0], [0, 9, 3, 0], [8, 0, 0, 7]])
    kept = pattern.drop("a", weight, mask, 2)
    assert torch.equal(kept, drawn(".x.. .x.. x..x"))
    score = torch.tensor([[1.0, 9, 0, 2], [1, 0, 1, 0.5], [9, 9, 9, 9]])
    assert torch.equal(pattern.grow("a", score, kept, 2), drawn(".x.x xx.. x..x"))
    assert pattern.quota("a", 0.3, mask, 6, 0.0) == pytest.approx(1.8)
    assert pattern.quota("a", 0.9, mask, 6, 0.0) == 3  # no four exchanges two


def test_two_of_four_is_along_the_inputs_of_one_place_of_the_kernel():
    units = patterns.get("2:4").units("a", (1, 8, 1, 2))
    numbers = torch.arange(16).view(1, 8, 1, 2)  # index = 2 · input + place
    want = [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]
    assert units.cut(numbers)[..., 0].tolist() == want
    assert torch.equal(units.mask(units.cut(numbers)[..., 0]), numbers)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["kernel", "fan-in", "2:4"])
def test_cut_and_back_is_the_same_whatever_the_memory(name, layout):
    mask = torch.randint(0, 2, (3, 8, 2, 2), generator=torch.Generator().manual_seed(0)).bool()
    structure = patterns.get(name)
    units = structure.units("a", (3, 8, 2, 2))
    whole = units.mask(units.active(mask.contiguous(memory_format=layout)))
    assert torch.equal(units.active(whole), units.active(mask)) and whole.shape == mask.shape
    assert name == "kernel" or torch.equal(whole, mask)


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.Flatten(), nn.Linear(48, 5)
    )


def sparse(structure, density=0.5, init="Random", method="RigL", net=None, **options):
    net = net or model()
    optimizer = torch.optim.SGD(net.parameters(), **SGD)
    return Sparsifier(net, optimizer, method, init, density, t_end=100, structure=structure, **options)


@pytest.mark.parametrize("init", ["Random", "ER", "ERK"])
@pytest.mark.parametrize("name", ["kernel", "fan-in"])
def test_first_masks_have_exact_counts(name, init):
    """Units of a pool, summed over the layers: floor(Σ size · density + ½), each within one of its own."""
    made = sparse(name, 0.3, init)
    shapes = {n: tuple(m.shape) for n, m in made.masks.items()}
    assert ("0.weight" in shapes) is (init != "Random")
    densities, got, want = DISTRIBUTIONS[init](shapes, 0.3), {}, {}
    for n, mask in made.masks.items():
        cut = pools(name, mask.shape)
        (got[n],) = {sum(active(mask.numpy(), pool)) for pool in cut}
        want[n] = densities[n] * len(cut[0])
    assert all(abs(got[n] - want[n]) < 1 for n in got)
    assert sum(got.values()) == math.floor(sum(want.values()) + 0.5 + 1e-9)
    assert made.counts() == {n: int(m.sum()) for n, m in made.masks.items()}
    assert made.densities() == {n: int(m.sum()) / m.numel() for n, m in made.masks.items()}


def test_two_of_four_leaves_odd_layers_dense():
    made = sparse("2:4", net=nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 8), nn.Linear(8, 3)))
    assert made.counts() == {"1.weight": 24, "3.weight": 12}  # the first is dense, and 6 inputs are no fours


def test_single_weights_are_the_default_and_the_same():
    runs = [Problem(method="RigL"), Problem(method="RigL", structure="weight")]
    for _ in range(9):
        for run in runs:
            run.step()
    assert equal(*(run.everything() for run in runs))
    assert set(runs[1].sparse.state_dict()) == {"masks", "iteration", "generator"}


@pytest.mark.parametrize("structure", ["kernel", "fan-in", "2:4", "channel"])
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_save_and_load_goes_on_bit_for_bit(structure, stop):
    """The fractions of a unit that updates left over too, and the rows of dead channels."""
    kind = Channel(groups=[("0", "1", "3")]) if structure == "channel" else structure
    density = {"2:4": 0.5, "channel": 0.8}.get(structure, 0.3)
    options = {"init": "Random", "density": density, "delta_t": 2, "alpha": 0.45, "structure": kind, "method": "SET"}
    straight = Problem("nesterov", **options)
    for _ in range(stop):
        straight.step()
    saved = copy.deepcopy([part.state_dict() for part in (straight.model, straight.optimizer, straight.sparse)])
    resumed = Problem("nesterov", weights=5, seed=9, **options)
    for part, state in zip((resumed.model, resumed.optimizer, resumed.sparse), saved, strict=True):
        part.load_state_dict(state)
    resumed.t = straight.t
    before, moved = copy.deepcopy(straight.sparse.masks), False
    for _ in range(8):
        assert straight.step() == resumed.step()
        assert equal(straight.everything(), resumed.everything())
        moved |= not equal(list(before.values()), list(straight.sparse.masks.values()))
    assert moved


@pytest.mark.parametrize("structure", ["kernel", "fan-in", "2:4", "channel"])
def test_attached_to_the_optimizer_it_is_the_same(structure):
    kind = Channel(groups=[("0", "1", "3")]) if structure == "channel" else structure
    density = {"2:4": 0.5, "channel": 0.8}.get(structure, 0.3)
    runs = [Problem(init="Random", density=density, structure=kind) for _ in range(2)]
    runs[1].sparse.attach()
    for _ in range(9):
        runs[0].step(), runs[1].backward()
        runs[1].optimizer.step()
        runs[1].t += 1
        assert equal(list(runs[0].model.state_dict().values()), list(runs[1].model.state_dict().values()))


WRONG = {
    "structure": (
        {"structure": "block"},
        "structure 'block' is unknown: allowed are weight, kernel, channel, fan-in, 2:4",
    ),
    "method": (
        {"structure": "kernel", "method": "SNFS"},
        "method SNFS is not allowed with structure kernel: .* Static, SET, RigL",
    ),
    "pruning": ({"structure": "channel", "method": "Pruning"}, "method Pruning is not allowed with structure channel"),
    "dense": ({"structure": "2:4", "method": "Dense", "init": None, "density": 1.0}, "method Dense is not allowed"),
    "ERK": ({"structure": "2:4", "init": "ERK"}, "init 'ERK' is not allowed with structure 2:4.*take 'Random'"),
    "one of four": ({"structure": "2:4", "density": 0.25}, "density 0.25 is not allowed with structure 2:4.*0.5"),
    "none": ({"structure": "2:4", "net": nn.Linear(6, 4)}, "no layer to mask|fits no layer"),
    "transposed": (
        {"structure": "fan-in", "net": nn.Sequential(nn.Linear(4, 4), nn.ConvTranspose2d(4, 4, 3))},
        "layer '1' is not allowed with structure fan-in: exclude it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_told_at_once(case):
    options, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        sparse(**options)


def test_given_masks_must_have_the_structure():
    good = sparse("fan-in", net=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))).masks
    assert equal(
        list(sparse("fan-in", init=good, net=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))).masks.values()),
        list(good.values()),
    )
    bad = {"1.weight": drawn("xx.. x...")}
    for structure in ("fan-in", "2:4"):
        with pytest.raises(
            ValueError, match=f"the mask '1.weight' is not allowed: it does not have structure {structure}"
        ):
            sparse(structure, init=bad, net=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)))
    made = sparse("2:4", net=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match="does not have structure 2:4"):
        made.load_state_dict(made.state_dict() | {"masks": bad})


def test_a_method_of_ones_own_goes_with_every_structure():
    mine = methods.Method("Fewest", growth=lambda layer, generator: -layer.grad.abs())
    assert all(patterns.get(name).check(mine, "Random", 0.5) is None for name in patterns.STRUCTURES)


def test_a_run_names_its_structure_only_where_it_has_one():
    plain, channel = (RunSpec(init="Random", density=0.2, structure=s) for s in ("weight", "channel"))
    assert "structure" not in plain.to_dict() and plain == RunSpec(init="Random", density=0.2)
    assert channel.to_dict()["structure"] == "channel" and RunSpec.from_dict(channel.to_dict()) == channel
    assert channel.label == "channel RigL" and channel.config_id.startswith("cifar10_wrn-22-2_channel_RigL_Random_0.2_")
    kernel = RunSpec(init="ERK", density=0.2, structure="kernel", multiplier=2)
    assert kernel.label == "kernel RigL 2× (ERK)" and kernel.config_id != RunSpec(init="ERK", density=0.2).config_id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"structure": "blocks"}, "structure 'blocks' is unknown"),
        ({"structure": "channel", "init": "ERK"}, "init 'ERK' is not allowed with structure channel"),
        ({"structure": "2:4", "init": "Random"}, "density 0.2 is not allowed with structure 2:4"),
        ({"channels_multiple": 8}, "channels_multiple 8 is not allowed: structure weight counts no channels, take"),
        ({"structure": "channel", "init": "Random", "channels_multiple": 0}, "channels_multiple 0 is not allowed"),
        ({"structure": "kernel", "method": "RigL-SM"}, "method RigL-SM is not allowed with structure kernel"),
        (
            {"structure": "kernel", "published_code": ("ceil", "zero-ties")},
            "published_code 'zero-ties' is not allowed with structure kernel: take structure weight$",
        ),
        (
            {"structure": "fan-in", "published_code": ("ceil",)},
            "'ceil' is not allowed with structure fan-in: take structure weight or kernel",
        ),
        ({"published_code": ("signed-kernels",)}, "'signed-kernels' is not allowed with structure weight: .* kernel$"),
        (
            {"structure": "kernel", "init": "Mask", "parent": RunSpec(init="ERK", density=0.2)},
            "parent is not allowed with structure kernel",
        ),
    ],
)
def test_a_run_that_cannot_be_is_told_at_once(fields, message):
    with pytest.raises(ValueError, match=message):
        RunSpec(**{"init": "ERK", "density": 0.2} | fields)
