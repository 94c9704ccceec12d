"""Torch-Pruning's group-L2 pruner on the network and recipe of the study.

Trained with its regularisation of whole groups for the first half of the
epochs, then cut to the budget at once, then trained for the other half: what
the library's own examples do, at the length and with the augmentation that
all contenders have. It is not resumed within a run.
"""

import time

import numpy as np
import torch

from ..common.array_feed import array_batches
from ..common.datasets import steps_per_epoch
from ..common.recipe import MOMENTUM
from ..common.software import hardware, software
from ..common.widths import stage_widths
from .torch_network import TorchResNet, multiply_adds, parameters


def train_cell(cell, images, recipe):
    """Trains the cell.

    Args:
        cell: a `grid.Cell`.
        images: an `ImageSet`.
        recipe: a `Recipe`.

    Returns:
        Dict, what `cell.settings_of` leaves open of a record.

    Raises:
        ImportError: Without Torch-Pruning.
    """
    torch.manual_seed(cell.seed)
    network = TorchResNet(
        cell.setting.depth,
        stage_widths(cell.setting.width),
        images.input_shape[-1],
        images.classes,
        _per_colour(images.mean, images.input_shape[-1]),
        _per_colour(images.std, images.input_shape[-1]),
    )
    example = _to_torch(images.train[0][:1])
    dense_flops = multiply_adds(network, example)
    pruner = _pruner(network, example)
    run = _Run(network, images, recipe)
    half, epochs = recipe.epochs // 2, []
    for epoch in range(recipe.epochs):
        if epoch == half:
            _cut(pruner, network, example, cell.budget * dense_flops)
            run.renew_optimizer()
        epochs.append(run.epoch(epoch, pruner if epoch < half else None))
        epochs[-1]["flops"] = multiply_adds(network, example)
        print(
            f"{cell.name}  epoch {epoch + 1:2}/{recipe.epochs}  "
            f"loss {epochs[-1]['loss']:.4f}  test {epochs[-1]['test']:.4f}",
            flush=True,
        )
    per_epoch = run.steps * recipe.batch_size
    train_flops = [row["flops"] * per_epoch for row in epochs]
    return {
        "epochs": recipe.epochs,
        "accuracy": epochs[-1]["test"],
        "flops": multiply_adds(network, example),
        "params": parameters(network),
        "dense_flops": dense_flops,
        "train_flops": sum(train_flops),
        "dense_train_flops": dense_flops * per_epoch * recipe.epochs,
        "seconds": round(sum(row["seconds"] for row in epochs), 2),
        "core_seconds": round(sum(row["core_seconds"] for row in epochs), 2),
        "groups": {},
        "widths": [],
        "history": {
            "accuracy": [round(row["test"], 5) for row in epochs],
            "train_accuracy": [round(row["train"], 5) for row in epochs],
            "loss": [round(row["loss"], 5) for row in epochs],
            "train_flops": train_flops,
            "seconds": [round(row["seconds"], 3) for row in epochs],
        },
        "software": software(),
        "hardware": hardware(),
    }


class _Run:
    """The training loop: batches, rate and weight decay of the recipe."""

    def __init__(self, network, images, recipe):
        self.network = network
        self.images = images
        self.recipe = recipe
        self.steps = steps_per_epoch(len(images.train[0]), recipe.batch_size)
        self.batches = array_batches(
            *images.train, recipe.batch_size, recipe.seed
        )
        self.done = 0
        self.renew_optimizer()

    def renew_optimizer(self):
        """After pruning the parameters are other ones, without momentum."""
        weights = list(self.network.parameters())
        groups = [
            {
                "params": [w for w in weights if w.dim() > 1],
                "weight_decay": self.recipe.weight_decay,
            },
            {"params": [w for w in weights if w.dim() == 1]},
        ]
        self.optimizer = torch.optim.SGD(
            groups, lr=0.0, momentum=MOMENTUM, nesterov=True
        )

    def epoch(self, epoch, pruner):
        """Trains one epoch and scores the network on the test set."""
        begun, cores = time.perf_counter(), time.process_time()
        rng = np.random.default_rng([self.recipe.seed, epoch, 1])
        self.network.train()
        if pruner is not None:
            pruner.update_regularizer()
        losses, right = [], []
        for _ in range(self.steps):
            pixels, labels = next(self.batches)
            pixels = augmented(pixels, self.recipe.shift, self.images.flip, rng)
            loss, hits = self._step(pixels, labels, pruner)
            losses.append(loss)
            right.append(hits)
        seconds = time.perf_counter() - begun
        core_seconds = time.process_time() - cores
        return {
            "loss": float(np.mean(losses)),
            "train": float(np.mean(right)),
            "test": accuracy(self.network, *self.images.test),
            "seconds": seconds,
            "core_seconds": core_seconds,
        }

    def _step(self, pixels, labels, pruner):
        labels = torch.as_tensor(labels, dtype=torch.long)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.recipe, self.steps, self.done)
        logits = self.network(_to_torch(pixels))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        if pruner is not None:
            pruner.regularize(self.network)
        self.optimizer.step()
        self.done += 1
        right = (logits.argmax(dim=1) == labels).float().mean()
        return loss.item(), right.item()


def rate(recipe, steps_per_epoch, step):
    """The learning rate of `recipe.learning_rate`, as a float."""
    steps = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.lr * step / warmup
    progress = (step - warmup) / (steps - warmup)
    return recipe.lr * 0.5 * (1 + np.cos(np.pi * progress))


def augmented(images, shift, flip, rng):
    """Moves images by up to `shift` pixels and mirrors every second one."""
    count, height, width = images.shape[:3]
    margin = (shift, shift)
    padded = np.pad(images, ((0, 0), margin, margin, (0, 0)))
    tops, lefts = rng.integers(0, 2 * shift + 1, (2, count))
    mirrored = rng.random(count) < (0.5 if flip else 0.0)
    rows = tops[:, None] + np.arange(height)
    columns = np.where(
        mirrored[:, None], width - 1 - np.arange(width), np.arange(width)
    )
    columns = columns + lefts[:, None]
    every = np.arange(count)[:, None, None]
    return padded[every, rows[:, :, None], columns[:, None, :]]


@torch.no_grad()
def accuracy(network, images, labels, batch_size=250):
    """Share of images whose largest logit is that of their label."""
    network.eval()
    right = 0
    for start in range(0, len(images), batch_size):
        logits = network(_to_torch(images[start : start + batch_size]))
        found = logits.argmax(dim=1).numpy()
        right += int((found == labels[start : start + batch_size]).sum())
    return right / len(images)


def _pruner(network, example):
    try:
        import torch_pruning
    except ImportError as error:
        raise ImportError(
            "The contender `torch_pruning` needs Torch-Pruning beside PyTorch. "
            "Run `pip install keras_chex[bench]`, or leave it out with "
            "`--cells`"
        ) from error
    return torch_pruning.pruner.GroupNormPruner(
        network,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=0.9,
        max_pruning_ratio=0.9,
        iterative_steps=200,
        ignored_layers=[network.logits],
    )


def _cut(pruner, network, example, target):
    """Prunes in small steps until the budget is met."""
    for _ in range(pruner.iterative_steps):
        if multiply_adds(network, example) <= target:
            return
        pruner.step()
    raise ValueError("Torch-Pruning did not come down to the budget")


def _to_torch(pixels):
    pixels = torch.as_tensor(np.ascontiguousarray(pixels)).float()
    return pixels.permute(0, 3, 1, 2)


def _per_colour(values, colours):
    return tuple(values) * (colours // len(values))
