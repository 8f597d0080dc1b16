"""The layers and shapes that comparisons run on."""

from __future__ import annotations

from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution of a known network, on one image a batch entry."""

    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        """Padding of all these networks: half the kernel."""
        return self.kernel // 2

    @property
    def name(self) -> str:
        """For instance ``3x3 64>64 @56 /2``."""
        kind = "dw" if self.groups > 1 else f"{self.kernel}x{self.kernel}"
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{kind} {self.channels}>{self.filters} @{self.size}{stride}"


RESNET50 = [
    Layer(3, 64, 224, 7, 2),
    Layer(64, 64, 56, 1),
    Layer(64, 64, 56, 3),
    Layer(64, 256, 56, 1),
    Layer(256, 64, 56, 1),
    Layer(256, 128, 56, 1),
    Layer(128, 128, 56, 3, 2),
    Layer(128, 512, 28, 1),
    Layer(256, 512, 56, 1, 2),
    Layer(512, 128, 28, 1),
    Layer(128, 128, 28, 3),
    Layer(512, 256, 28, 1),
    Layer(256, 256, 28, 3, 2),
    Layer(256, 1024, 14, 1),
    Layer(512, 1024, 28, 1, 2),
    Layer(1024, 256, 14, 1),
    Layer(256, 256, 14, 3),
    Layer(1024, 512, 14, 1),
    Layer(512, 512, 14, 3, 2),
    Layer(512, 2048, 7, 1),
    Layer(1024, 2048, 14, 1, 2),
    Layer(2048, 512, 7, 1),
    Layer(512, 512, 7, 3),
]
"""Every distinct convolution of ResNet-50 (He et al., 2015), with the stride in its 3x3 layers."""

VGG16 = [
    Layer(3, 64, 224, 3),
    Layer(64, 64, 224, 3),
    Layer(64, 128, 112, 3),
    Layer(128, 128, 112, 3),
    Layer(128, 256, 56, 3),
    Layer(256, 256, 56, 3),
    Layer(256, 512, 28, 3),
    Layer(512, 512, 28, 3),
    Layer(512, 512, 14, 3),
]
"""Every distinct convolution of VGG-16 (Simonyan and Zisserman, 2014)."""

MOBILENETV2 = [
    Layer(32, 32, 112, 3, 1, 32),
    Layer(96, 96, 112, 3, 2, 96),
    Layer(144, 144, 56, 3, 1, 144),
    Layer(144, 144, 56, 3, 2, 144),
    Layer(192, 192, 28, 3, 1, 192),
    Layer(192, 192, 28, 3, 2, 192),
    Layer(384, 384, 14, 3, 1, 384),
    Layer(576, 576, 14, 3, 1, 576),
    Layer(576, 576, 14, 3, 2, 576),
    Layer(960, 960, 7, 3, 1, 960),
]
"""Every distinct depthwise convolution of MobileNetV2 (Sandler et al., 2018)."""

CONV_SUITES = {"resnet50": RESNET50, "vgg16": VGG16, "mobilenetv2": MOBILENETV2}

LADDER = [Layer(64, 64, 56, 3), Layer(256, 256, 14, 3), Layer(256, 64, 56, 1), Layer(3, 64, 224, 7, 2)]
"""Layers on which each rung of the ladder is measured."""

STREAMING_SHAPES = [(32, 64, 56, 56), (1, 64, 56, 56), (8, 512, 7, 7), (4, 3, 512, 512)]
"""Beyond the caches and inside them; small planes and large ones."""
