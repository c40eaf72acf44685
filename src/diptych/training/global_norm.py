"""Batch norm over the batch of a whole team, for the time in which a network is trained by one.

The statistics of each process's share are gathered and put together, and so are the sums that
their gradients need; so the result is that of one process with the whole batch, up to rounding.
torch's own `SyncBatchNorm` computes the same, but not on a processor.

Shapes: n items of a share, C channels, ... places, R processes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.errors import ConfigError

Gather = Callable[[Tensor], Tensor]
"""A tensor (K,) of each process, the same K for all, to (R, K)."""

NAMES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
TIMMS_OWN = ("timm.layers.norm_act", "BatchNormAct2d")
"""Told by its name, for timm may be absent."""


class GlobalNorm(_BatchNorm):
    """A batch norm with the weights and buffers of another, under the same names.

    Args:
        norm: The other; it is given back by `origin`.
        gather: Every process calls it with its own tensor; shares are of one size.
    """

    def __init__(self, norm: _BatchNorm, gather: Gather) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=norm.affine)
        self._origin, self.gather = (norm,), gather
        for name in NAMES:
            setattr(self, name, getattr(norm, name))
        self.train(norm.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize each channel.

        Args:
            inputs: (n, C) or (n, C, ...).

        Returns:
            The same shape.
        """
        mean, var = self.running_mean, self.running_var
        if self.training or mean is None or var is None:
            return self._by_batch(inputs)
        return functional.batch_norm(inputs, mean, var, self.weight, self.bias, eps=self.eps)

    def origin(self) -> _BatchNorm:
        """Give the batch norm that this one stands for.

        Returns:
            It, with the weights and buffers as they are now.
        """
        norm = self._origin[0]
        for name in NAMES:
            setattr(norm, name, getattr(self, name))
        return norm.train(self.training)

    def _by_batch(self, inputs: Tensor) -> Tensor:
        outputs, mean, var, count = _GlobalNormFunction.apply(  # type: ignore[no-untyped-call]
            inputs, self.weight, self.bias, self.eps, self.gather
        )
        if self.training:
            self._remember(mean, var * (count / max(count - 1, 1)))
        normalized: Tensor = outputs
        return normalized

    def _remember(self, mean: Tensor, var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        share = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            share = 1.0 / float(self.num_batches_tracked) if share is None else share
        self.running_mean.lerp_(mean, share or 0.0)
        self.running_var.lerp_(var, share or 0.0)


class GlobalNormAct(GlobalNorm):
    """The same of a batch norm of timm, which forgets and activates what it has normalized.

    Args:
        norm: Has `drop` and `act`.
        gather: As of the others.
    """

    def __init__(self, norm: Any, gather: Gather) -> None:  # noqa: ANN401  of a library that may be absent
        super().__init__(norm, gather)
        self.drop, self.act = norm.drop, norm.act

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalize each channel, and do what comes after it.

        Args:
            inputs: (n, C, ...).

        Returns:
            The same shape.
        """
        outputs: Tensor = self.act(self.drop(super().forward(inputs)))
        return outputs


class _GlobalNormFunction(torch.autograd.Function):
    """Normalizes a share by the statistics of all shares."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        inputs: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        gather: Gather,
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        channels = inputs.shape[1]
        kept = torch.zeros(2, channels, device=inputs.device)  # asks for float32, stays as it is
        own = torch.cat(torch.ops.aten.batch_norm_update_stats(inputs, kept[0], kept[1], 0.0))
        all_own = gather(own)  # (R, 2C)
        size = len(all_own)
        mean, var = all_own.sum(0).div_(size).chunk(2)
        var += (all_own[:, :channels] - mean).square_().sum(0).div_(size)
        count = inputs.numel() // channels * size
        ctx.save_for_backward(inputs, weight, mean, (var + eps).rsqrt())
        ctx.eps, ctx.gather, ctx.count = eps, gather, count
        ctx.mark_non_differentiable(mean, var)
        outputs = functional.batch_norm(inputs, mean, var, weight, bias, eps=eps)
        return outputs, mean, var, count

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401  torch's own
        gradient: Tensor,
        *unused: object,
    ) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, scale = ctx.saved_tensors
        nothing, one = torch.zeros_like(mean), torch.ones_like(mean)
        factor = one if weight is None else weight
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, inputs, factor, None, None, mean, scale, True, ctx.eps, [False, True, True]
        )
        whole = ctx.gather(torch.cat((by_weight, by_bias))).sum(0)  # (2C,)
        factor = factor * scale
        slope, offset = (whole.view(2, -1) * factor).div_(-ctx.count)
        by_input = functional.batch_norm(gradient, nothing, one, factor, nothing, eps=0.0)
        by_input += functional.batch_norm(inputs, mean, one, slope * scale, offset, eps=0.0)
        if weight is None:
            return by_input, None, None, None, None
        return by_input, by_weight, by_bias, None, None


def globalize(network: nn.Module, gather: Gather) -> None:
    """Let a network's batch norms look at the batch of the whole team, in place.

    Args:
        network: The names in its `state_dict` stay the same.
        gather: Gathers a tensor of each process.

    Raises:
        ConfigError: If one of them is of a kind that computes in a way of its own.
    """
    for module in network.modules():
        _check_known(module)
    made: dict[nn.Module, nn.Module] = {}
    for parent, name, norm in _children(network):
        kind = _stand_in(norm)
        if kind is not None:
            setattr(parent, name, made.setdefault(norm, kind(norm, gather)))


def localize(network: nn.Module) -> None:
    """Put a network's own batch norms back, in place.

    Args:
        network: From :func:`globalize`.
    """
    for parent, name, norm in _children(network):
        if isinstance(norm, GlobalNorm):
            setattr(parent, name, norm.origin())


def _children(network: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    return [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm)
    ]


def _stand_in(norm: nn.Module) -> type[GlobalNorm] | None:
    """Return what can stand for a batch norm, where it is known how that computes."""
    kind = type(norm)
    if kind in BATCH_NORMS:
        return GlobalNorm
    return GlobalNormAct if (kind.__module__, kind.__qualname__) == TIMMS_OWN else None


def _check_known(module: nn.Module) -> None:
    if not isinstance(module, _BatchNorm) or isinstance(module, GlobalNorm) or _stand_in(module):
        return
    before = module.training
    learns = module.train().training  # some stay as they were learned elsewhere
    module.train(before)
    if learns:
        raise ConfigError(
            f"{type(module).__qualname__} is a batch norm of its own kind, whose statistics "
            "processes cannot put together",
            "train without --devices, or use a batch norm of torch",
        )
