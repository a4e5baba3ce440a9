"""Torch's layers that multiply by a matrix of weights: which of their parameters those are."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

WEIGHT = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHT += (nn.Linear, nn.Bilinear)  # each has one, by this name
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")  # the first, or the others


def matrices(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights of the model's layers by module and name, in its order; those of a layer used twice once.

    Of convolutions (transposed too), linear and bilinear layers, attention's projections and recurrent layers. A weight
    that is computed from others is no parameter.
    """
    for path, module in model.named_modules():
        for name in _names(module):
            yield f"{path}.{name}" if path else name, getattr(module, name)


def _names(module: nn.Module) -> list[str]:
    if isinstance(module, WEIGHT):
        return ["weight"]
    if isinstance(module, nn.MultiheadAttention):  # its output projection is a linear layer
        return [name for name in PROJECTIONS if getattr(module, name) is not None]
    if isinstance(module, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    if not isinstance(module, nn.RNNBase):
        return []
    kinds, ways = ("ih", "hh", "hr")[: 3 if module.proj_size else 2], ("", "_reverse")[: 1 + module.bidirectional]
    return [f"weight_{kind}_l{layer}{way}" for layer in range(module.num_layers) for way in ways for kind in kinds]


def excluded(exclude: Iterable[str]) -> list[str]:
    """The names of layers or modules that somebody leaves out; one alone may be given as it is."""
    exclude = exclude if isinstance(exclude, Iterable) and not isinstance(exclude, str) else [exclude]
    names = list(exclude)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"exclude {name!r} is not allowed: give names of layers, () for none")
    return names


def unmasked(model: nn.Module, exclude: Iterable[str] = ()) -> list[str]:
    """Trained parameters that look like matrices and are in no layer of torch's: masks leave them dense.

    Embeddings are meant to be, and so is what `exclude` names.
    """
    known = {id(weight) for _, weight in matrices(model)}
    known |= {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    out = tuple(f"{e}." for e in excluded(exclude))
    named = {name: p for name, p in model.named_parameters() if not f"{name}.".startswith(out)}
    return [n for n, p in named.items() if p.requires_grad and p.ndim > 1 and 1 not in p.shape and id(p) not in known]


def maskable(model: nn.Module, first_layer: bool = True, exclude: Iterable[str] = ()) -> dict[str, nn.Parameter]:
    """Weights of `matrices` by parameter name, in the model's order; never biases, norms or embeddings.

    `first_layer=False` leaves the first of them out: it stays dense under Uniform. (An embedding that comes before all
    of them is the first layer, and dense already.) `exclude` leaves out layers, single weights and whole modules by
    name; frozen and empty parameters are left out too, and shared ones come once. Raises ValueError for a weight that
    is no parameter, has no shape yet, is spread over devices or lies in another one's memory, and for a name that is
    none of the model's.
    """
    names, found = {id(p): name for name, p in model.named_parameters()}, {}
    exclude = excluded(exclude)
    unused, layers = set(exclude) - set(names.values()), dict(matrices(model))
    for label, weight in layers.items():
        name, layer = names.get(id(weight)), label.rpartition(".")[0]
        hits = {e for e in exclude if e in (name, label) or label.startswith(f"{e}.")}
        unused -= hits
        if hits:
            found[name or label] = None
        elif name is None:
            raise ValueError(f"layer {layer!r} computes its weight from others: remove that, or exclude the layer")
        elif nn.parameter.is_lazy(weight):
            raise ValueError(f"layer {layer!r} has no shape yet: run the model once, or exclude the layer")
        elif type(weight.data).__name__ == "DTensor":
            raise ValueError(f"layer {layer!r} is spread over devices (DTensor): exclude it, or train with DDP")
        else:
            found.setdefault(name, weight)
    if unused:
        there = dict.fromkeys(label.rpartition(".")[0] or label for label in layers)
        raise ValueError(f"exclude {min(unused)!r} names no layer: the layers are {', '.join(there)}")
    first = next((m for m in model.modules() if isinstance(m, nn.Embedding) or _names(m)), None)
    chosen = list(found.items())[0 if first_layer or isinstance(first, nn.Embedding) else 1 :]
    chosen = {n: weight for n, weight in chosen if weight is not None and weight.requires_grad and weight.numel()}
    places = {}
    for name, weight in chosen.items():
        place = weight.data_ptr()  # 0: it has no memory, on the meta device say
        if place and (other := places.setdefault(place, name)) != name:
            raise ValueError(f"{other} and {name} share memory and are two parameters: make them one, or exclude one")
    return chosen
