"""Loops that somebody else wrote, really run: Lightning, Accelerate and Hugging Face's Trainer, sparse by one line."""

import pytest
import torch
from holding import assert_holds, network
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb.sparsifier import Sparsifier

RULE = {"density": 0.2, "alpha": 0.6, "delta_t": 3, "t_end": 12}
STEPS, METHODS = 16, ["RigL", "SNFS", "Pruning"]
WHY = "needs tests/trainers.lock: pip install --no-deps -r tests/trainers.lock"


def batches(parts=1):
    """The same batches for everyone; `parts` to a step."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS * parts, 8, 12, generator=stream)
    return list(zip(x, torch.randint(0, 10, (STEPS * parts, 8), generator=stream), strict=True))


def optimizer_of(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)


def written_out(method, parts=1, clip=None):
    """What every trainer has to reach: the loop of the README."""
    model = network()
    sparsifier = Sparsifier(model, optimizer_of(model), method, **RULE)
    for t, (x, y) in enumerate(batches(parts)):
        (cross_entropy(model(x), y) / parts).backward()
        if t % parts == parts - 1:
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            sparsifier.step()
            sparsifier.optimizer.zero_grad()
    return model, sparsifier


def assert_same(ours, theirs, exact=True):
    (model, sparsifier), (other, attached) = ours, theirs
    assert attached.iteration == sparsifier.iteration == STEPS
    assert_holds(attached)
    for name, mask in sparsifier.masks.items():
        assert torch.equal(mask, attached.masks[name]), name
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}], ids=["plain", "two"]
)
def test_lightning(options, method, tmp_path):
    """Its loop gives the optimizer a closure that computes the gradients."""
    lightning = pytest.importorskip("lightning", reason=WHY)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = network()

        def training_step(self, batch, _):
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = optimizer_of(self.net)
            self.sparsifier = Sparsifier(self.net, optimizer, method, **RULE).attach()
            return optimizer

    parts, module = options.get("accumulate_grad_batches", 1), Module()
    quiet = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "logger", "enable_model_summary"), False)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", devices=1, default_root_dir=tmp_path, **quiet, **options
    )
    trainer.fit(module, torch.utils.data.DataLoader(batches(parts), batch_size=None))
    assert_same(
        written_out(method, parts, options.get("gradient_clip_val")), (module.net, module.sparsifier), not options
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_accelerate(when, method):
    """Made on the plain optimizer before `prepare`, or on the wrapped one after it; two parts of a batch to a step."""
    accelerate = pytest.importorskip("accelerate", reason=WHY)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = network()
    optimizer = optimizer_of(model)
    sparsifier = Sparsifier(model, optimizer, method, **RULE).attach() if when == "before" else None
    loader = torch.utils.data.DataLoader(batches(2), batch_size=None)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    sparsifier = sparsifier or Sparsifier(model, optimizer, method, **RULE).attach()
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(cross_entropy(model(x), y))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
    assert_same(written_out(method, 2, 0.5), (model, sparsifier), exact=False)


@pytest.mark.parametrize("method", METHODS)
def test_the_trainer_of_hugging_face(method, tmp_path):
    """A callback makes the Sparsifier when the optimizer is there."""
    transformers = pytest.importorskip("transformers", reason=WHY)
    pytest.importorskip("accelerate", reason=WHY)
    made = []

    class Sparse(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **others):
            made.append(Sparsifier(model.net, optimizer, method, **RULE).attach())

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, labels):
            return {"loss": cross_entropy(self.net(x), labels)}

    rows = [{"x": x, "labels": y} for xs, ys in batches() for x, y in zip(xs, ys, strict=True)]
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        per_device_train_batch_size=8,
        num_train_epochs=1,
        max_grad_norm=0,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(rows)

    model = Classifier()
    optimizer = optimizer_of(model.net)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    trainer = InOrder(model, arguments, train_dataset=rows, optimizers=(optimizer, constant), callbacks=[Sparse()])
    trainer.train()
    assert_same(written_out(method), (model.net, made[0]))


def test_pre_trained_language_models_are_masked_and_counted():
    """GPT-2 has layers of its own for what it multiplies with; BERT has torch's."""
    transformers = pytest.importorskip("transformers", reason=WHY)
    from rigl_nb import flops

    size = {
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "vocab_size": 50,
    }
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**size))
    sparsifier = Sparsifier(model, optimizer_of(model), "Static", density=0.2)
    assert len(sparsifier.masks) == 2 * 6 + 2
    tokens = torch.ones(1, 7, dtype=torch.int64)
    cost = flops.layer_flops(model, {"input_ids": tokens})
    assert set(sparsifier.masks) <= set(cost) and cost[flops.OTHER] == 2 * 2 * 2 * 7**2 * 16
    assert flops.weighted(cost, sparsifier.densities()) < sum(cost.values())
    gpt = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50))
    cost = flops.layer_flops(gpt, {"input_ids": tokens})
    assert set(cost) == {flops.OTHER, "transformer.wte.weight"}  # the head's weight, which is the embedding's
    assert cost["transformer.wte.weight"] in (2 * 50 * 16 * 7, 2 * 50 * 16)
    assert cost[flops.OTHER] >= 2 * 7 * 2 * 12 * 16**2
