"""The loop that a user of PyTorch would write: eager, float32, a DataLoader, every weight multiplied by its mask.

Network, initial weights, densities and hyperparameters are those of a `RunSpec`, so that both loops train the same
thing; nothing else here is the project's. It is neither slowed down nor tuned.
"""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from rigl_nb import distributions, masks, models, rng
from rigl_nb.data import Images
from rigl_nb.data.sources import SOURCES, Source
from rigl_nb.schedules import drop_fraction
from rigl_nb.spec import RunSpec

LOG_EVERY = 100  # steps between two looks at the loss, which wait for the device


class Pictures(Dataset):
    """Images one by one, as torchvision's CIFAR classes give them: a PIL image through transforms, and its label."""

    def __init__(self, images: Images, source: Source, augment: bool):
        self.pixels, self.labels = images.pixels.numpy(), images.labels.tolist()
        size = source.shape[1]
        random = [transforms.RandomCrop(size, padding=source.pad, padding_mode="reflect")]
        random += [transforms.RandomHorizontalFlip()] if source.flip else []
        usual = [transforms.ToTensor(), transforms.Normalize(source.mean, source.std)]
        self.transform = transforms.Compose((random if augment else []) + usual)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[row].squeeze())), self.labels[row]


def loader(images: Images, spec: RunSpec, device: str, workers: int, augment: bool = True) -> DataLoader:
    """The loader of training batches, or, without augmentation, of validation batches."""
    return DataLoader(
        Pictures(images, SOURCES[spec.data], augment),
        batch_size=spec.batch_size,
        shuffle=augment,
        num_workers=workers,
        pin_memory=device == "cuda",
        persistent_workers=workers > 0,
    )


def network(spec: RunSpec, device: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """The model with torch's own dropout, and its first masks, float tensors by parameter name."""
    source = SOURCES[spec.data]
    draw = rng.numpy_generator(spec.seed, "weights")
    model = models.build(spec.model, source.classes, channels=source.shape[0], dropout=spec.dropout, rng=draw)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, models.Dropout):
                setattr(parent, name, nn.Dropout(child.p))
    model = model.to(device)
    shapes = {name: tuple(weight.shape) for name, weight in models.maskable(model).items()}
    active = distributions.counts(shapes, distributions.erdos_renyi_kernel(shapes, spec.density))
    draw = rng.numpy_generator(spec.seed, "masks")
    first = {name: masks.random_mask(shapes[name], active[name], draw).float().to(device) for name in shapes}
    with torch.no_grad():
        for name, weight in models.maskable(model).items():
            weight.mul_(first[name])
    return model, first


def train(spec: RunSpec, model: nn.Module, masks: dict[str, Tensor], batches: DataLoader) -> Iterator[Tensor]:
    """Train for ever; yields the loss, still on the device, after every step."""
    device = next(model.parameters()).device
    weights = models.maskable(model)
    criterion = nn.CrossEntropyLoss(label_smoothing=spec.label_smoothing)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.weight_decay,
    )
    step = 0
    while True:
        model.train()
        for x, y in batches:
            x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            step += 1
            if step % spec.delta_t == 0 and step < spec.t_end:
                update(weights, masks, drop_fraction(step, spec.alpha, spec.t_end))
            else:
                optimizer.step()
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.mul_(masks[name])
            if step % LOG_EVERY == 0:
                loss.item()
            yield loss.detach()


@torch.no_grad()
def update(weights: dict[str, nn.Parameter], masks: dict[str, Tensor], fraction: float) -> None:
    """RigL's update as it is often written: drop the smallest weights, grow the largest gradients, by `topk`."""
    for name, weight in weights.items():
        mask = masks[name].view(-1)
        size, gradient = weight.detach().abs().view(-1), weight.grad.abs().view(-1)
        count = int(fraction * mask.sum().item())
        dropped = torch.where(mask > 0, size, torch.inf).topk(count, largest=False).indices
        mask[dropped] = 0
        grown = torch.where(mask > 0, -1.0, gradient).topk(count).indices
        mask[grown] = 1
        weight.view(-1)[grown] = 0


@torch.no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    """Share of images that the model gets right, in percent."""
    device = next(model.parameters()).device
    model.eval()
    correct = 0
    for x, y in batches:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        correct += (model(x).argmax(1) == y).sum().item()
    model.train()
    return 100 * correct / len(batches.dataset)
