import torch
from torch import nn

from diptych.core.specs import ImageSpec
from diptych.training.flops import forward_flops

SPEC = ImageSpec(height=8, width=8, channels=1)


def test_operations_are_counted_as_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 6, 3, padding=1, bias=False)
            self.head = nn.Linear(6, 5, bias=False)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.head(self.convolution(pixels.permute(0, 3, 1, 2).float()).amax((2, 3)))

    network = Net().train()
    by_hand = 2 * (8 * 8 * 6 * 9) + 2 * (6 * 5)
    assert forward_flops(network, SPEC) == by_hand
    assert network.training
