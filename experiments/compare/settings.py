"""The settings of the grid: data, network and recipe that contenders share."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Setting:
    """Data, network and recipe that contenders share.

    Attributes:
        name: string.
        dataset: `"cifar10"`, `"imagenette"` or `"digits"`.
        pixels: int, height and width of the images.
        depth: int, layers of the network.
        width: int, channels of the first of its stages.
        epochs: int.
        batch_size: int.
        lr: float, the largest learning rate.
        weight_decay: float, the factor of L2 regularisation.
        shift: int, augmentation: largest shift in pixels.
        examples: int, only the first training images; `None` for all.
        holdout: int, this many training images, the last ones, take the place
            of the test set, which stays unseen: for choosing among variants.
        network: `"resnet"` or `"vgg"`, a key of `networks.NETWORKS`.
    """

    name: str
    dataset: str
    pixels: int
    depth: int
    width: int
    epochs: int
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    shift: int = 4
    examples: int | None = None
    holdout: int = 0
    network: str = "resnet"


SETTINGS = {
    s.name: s
    for s in (
        Setting("digits", "digits", 8, 8, 16, 60, 32, 0.05, 1e-3, 1),
        Setting(
            "cifar16_short", "cifar10", 16, 8, 16, 8, shift=2, examples=10_240
        ),
        Setting(
            *("cifar16_tuning", "cifar10", 16, 14, 16, 24),
            **{"shift": 2, "examples": 20_480, "holdout": 10_000},
        ),
        Setting(
            "cifar16_some", "cifar10", 16, 14, 16, 24, shift=2, examples=20_480
        ),
        Setting(
            *("cifar16_vgg_tuning", "cifar10", 16, 16, 16, 24),
            **{"shift": 2, "examples": 20_480, "holdout": 10_000},
            network="vgg",
        ),
        Setting(
            *("cifar16_vgg_some", "cifar10", 16, 16, 16, 24),
            **{"shift": 2, "examples": 20_480, "network": "vgg"},
        ),
        Setting(
            *("cifar16_vgg_long", "cifar10", 16, 16, 16, 100),
            **{"shift": 2, "network": "vgg"},
        ),
        # As wide as VGG-16 was published.
        Setting(
            *("cifar16_vgg_wide", "cifar10", 16, 16, 64, 100),
            **{"shift": 2, "network": "vgg"},
        ),
        Setting("cifar16", "cifar10", 16, 14, 16, 36, shift=2),
        Setting("cifar16_long", "cifar10", 16, 20, 16, 100, shift=2),
        Setting("cifar32_r8", "cifar10", 32, 8, 16, 40),
        Setting("cifar32", "cifar10", 32, 20, 16, 100),
        Setting("cifar32_wide", "cifar10", 32, 20, 32, 100),
        Setting("cifar32_deep", "cifar10", 32, 56, 16, 200),
        Setting(
            "imagenette24", "imagenette", 24, 14, 16, 48, 64, 0.05, shift=3
        ),
        Setting("imagenette64", "imagenette", 64, 20, 16, 60, shift=6),
    )
}
