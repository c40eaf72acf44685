import pytest
import torch

from diptych.training.optimizers.layout import keep_layout


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_contiguous_state_beside_channels_last_weights_gives_the_same_steps(
    kind: type[torch.optim.SGD] | type[torch.optim.AdamW],
) -> None:
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(4, 3, 2, 2, generator=generator) for _ in range(4))
    layouts = (torch.contiguous_format, torch.channels_last)
    ends = []
    for layout in layouts:
        weight = torch.nn.Parameter(start.to(memory_format=layout, copy=True))
        options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        optimizer = keep_layout(kind([weight], lr=0.1, fused=True, **options))
        for gradient in gradients:
            weight.grad = gradient.to(memory_format=layout)
            optimizer.step()
            state = optimizer.state_dict()
            state["state"] = {
                0: {name: value.contiguous() for name, value in state["state"][0].items()}
            }
            optimizer.load_state_dict(state)
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_a_state_that_was_loaded_is_a_copy() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = keep_layout(torch.optim.SGD([weight], lr=0.1, momentum=0.9))
    weight.grad = torch.ones(3)
    optimizer.step()
    kept = {"momentum_buffer": torch.full((3,), 7.0)}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": {0: kept}})
    optimizer.step()
    assert kept["momentum_buffer"].tolist() == [7.0] * 3
    assert weight.tolist() == pytest.approx([1 - 0.1 - 0.1 * (0.9 * 7 + 1)] * 3)
