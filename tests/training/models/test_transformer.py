import torch
from torch import nn

from diptych.core.specs import TextSpec
from diptych.training.models.transformer import Block, Transformer, TransformerConfig

CONFIG = TransformerConfig(width=32, heads=4, layers=3, hidden=64)


def test_attention_is_that_of_torch_with_padding_masked() -> None:
    torch.manual_seed(0)
    block = Block(CONFIG).eval()
    reference = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    with torch.no_grad():
        parts = (block.query, block.key, block.value)
        reference.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        reference.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        reference.out_proj.load_state_dict(block.output.state_dict())
    x = 3 * torch.randn(5, 7, 32)
    present = (torch.arange(7) < torch.tensor([7, 1, 4, 6, 2])[:, None]).float()
    wanted, _ = reference(x, x, x, key_padding_mask=present == 0)
    torch.testing.assert_close(block._attend(x, present), wanted, rtol=1e-4, atol=1e-5)


def test_the_number_of_parameters_is_the_sum_of_its_layers() -> None:
    network = Transformer(CONFIG, TextSpec(tokens=16, vocabulary=100), 5)
    block = 4 * (32 * 32 + 32) + 2 * 2 * 32 + (32 * 64 + 64) + (64 * 32 + 32)
    around = 100 * 32 + 16 * 32 + 2 * 32 + 32 * 5 + 5
    assert sum(p.numel() for p in network.parameters()) == 3 * block + around


def test_scaling_keeps_heads_and_layers() -> None:
    assert CONFIG.scaled(2.0) == TransformerConfig(width=64, heads=4, layers=3, hidden=128)
    assert CONFIG.scaled(0.01) == TransformerConfig(width=32, heads=4, layers=3, hidden=32)
