"""The kinds of networks that settings can have."""

import dataclasses

from ..common.widths import STAGE_FACTORS, VGG_FACTORS


@dataclasses.dataclass(frozen=True)
class Network:
    """A kind of network.

    Attributes:
        title: string, for people.
        builder: string, name of a function of `common.models`.
        factors: ints, how many times as wide as the first each stage is.
        smallest: int, the smallest depth.
        in_torch: bool, whether there is one in PyTorch too.
    """

    title: str
    builder: str
    factors: tuple
    smallest: int
    in_torch: bool = False

    def build(self, *args, **kwargs):
        """A `keras.Model`, from the arguments of the builder."""
        # Not before now: grids and pages are read without a backend of Keras.
        from ..common import models

        return getattr(models, self.builder)(*args, **kwargs)


NETWORKS = {
    "resnet": Network("ResNet", "cifar_resnet", STAGE_FACTORS, 8, True),
    "vgg": Network("VGG", "cifar_vgg", VGG_FACTORS, 11),
}
