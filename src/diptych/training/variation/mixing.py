"""Pairs of a batch mixed into one item each: blended whole, or a box of one pasted on the other.

The loss is mixed alike: `share` of it is for the item's own label, the rest for its partner's.

Shapes: B batch, H height, W width, C channels, T samples.

Source: H. Zhang et al., "mixup: beyond empirical risk minimization", 2017; S. Yun et al., "CutMix:
regularization strategy to train strong classifiers with localizable features", 2019. As there, one
share is drawn for a whole batch.
"""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from diptych.core.errors import ConfigError
from diptych.training.sending import SEEDS, sent


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Mixed `inputs` (B, ...), the places (B,) of partners, and how much is an item's own."""

    inputs: Tensor
    partner: Tensor
    share: float


def mix(inputs: Tensor, generator: torch.Generator, mixup: float, cutmix: float) -> Mixed:
    """Mix each item of a batch with another.

    Args:
        inputs: Raw pictures, uint8 (B, H, W, C), or sounds, int16 (B, T).
        generator: The stream of randomness of this batch.
        mixup: How strongly items are blended, the alpha of a beta distribution; 0 for not at all.
        cutmix: The same for boxes of pictures. With both, a batch takes either with equal chance.

    Returns:
        A new batch of the same shape and type.

    Raises:
        ConfigError: If such items cannot be mixed that way.
    """
    _check(inputs, cutmix)
    seed = int(torch.randint(SEEDS, (), generator=generator, device=generator.device))
    draw = random.Random(seed)  # noqa: S311  # not for secrets
    order = torch.randperm(len(inputs), generator=generator, device=generator.device)
    partner = sent(order, inputs.device)
    cuts = cutmix > 0 and (mixup == 0 or draw.random() < 0.5)
    alpha = cutmix if cuts else mixup
    share = draw.betavariate(alpha, alpha) if alpha > 0 else 1.0
    if cuts:
        return _pasted(inputs, partner, share, draw)
    return Mixed(inputs=_blended(inputs, inputs[partner], share), partner=partner, share=share)


def _check(inputs: Tensor, cutmix: float) -> None:
    pictures = inputs.dtype == torch.uint8 and inputs.dim() == 4
    sounds = inputs.dtype == torch.int16 and inputs.dim() == 2
    if not (pictures or sounds):
        raise ConfigError("only pictures and sounds can be mixed", "set mixup and cutmix to 0")
    if cutmix and not pictures:
        raise ConfigError("only pictures have boxes to cut out", "set cutmix to 0, or use mixup")


def _blended(inputs: Tensor, partners: Tensor, share: float) -> Tensor:
    return torch.lerp(partners.float(), inputs.float(), share).round().to(inputs.dtype)


def _pasted(inputs: Tensor, partner: Tensor, share: float, draw: random.Random) -> Mixed:
    height, width = inputs.shape[1:3]
    side = math.sqrt(1 - share)
    rows, columns = _span(height, side, draw), _span(width, side, draw)
    pasted = inputs.clone()
    pasted[:, rows, columns] = inputs[:, rows, columns][partner]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(inputs=pasted, partner=partner, share=1 - area / (height * width))


def _span(length: int, share: float, draw: random.Random) -> slice:
    """Draw where a part of a side is; it is cut off at the ends."""
    extent, middle = round(length * share), draw.randrange(length)
    start = middle - extent // 2
    return slice(max(0, start), min(length, start + extent))
