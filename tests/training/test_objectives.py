import torch

from diptych.training.objectives import cross_entropy


def test_cross_entropy_with_smoothing_is_the_mixture_of_its_two_parts() -> None:
    logits, targets = (
        torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 4,
    )
    log_p = logits.log_softmax(1)
    hard = -log_p[torch.arange(6), targets].mean()
    spread = -log_p.mean(1).mean()
    expected = 0.8 * hard + 0.2 * spread
    assert torch.allclose(cross_entropy(0.2)(torch.empty(0), logits, targets), expected)
