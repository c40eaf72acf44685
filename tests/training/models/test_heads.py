import torch
from torch import Tensor, nn

from diptych.training.models.conformer import Attention, ConformerConfig
from diptych.training.models.heads import Headed, Projections, head_size, keep_heads
from diptych.training.models.transformer import Block, TransformerConfig


class Doubling(nn.Module):
    """Heads of two numbers each, from one maker and without a bias: each is doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 3
        self.maker, self.taker = nn.Linear(4, 6, bias=False), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        split = torch.unflatten(self.maker(x), 1, (self.heads, -1))
        return self.taker((2 * split).flatten(1))

    def projections(self) -> Projections:
        return Projections((self.maker,), self.taker)


def test_what_says_where_its_heads_are_is_headed() -> None:
    assert isinstance(Doubling(), Headed)
    assert isinstance(Block(TransformerConfig()), Headed)
    assert isinstance(Attention(ConformerConfig()), Headed)
    assert not isinstance(nn.MultiheadAttention(4, 2), Headed)


def test_the_heads_that_stay_give_what_they_gave() -> None:
    torch.manual_seed(0)
    layer, x = Doubling(), torch.randn(5, 4)
    made = 2 * layer.maker(x)
    expected = made[:, [0, 1, 4, 5]] @ layer.taker.weight[:, [0, 1, 4, 5]].T + layer.taker.bias
    keep_heads(layer, [0, 2])
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert (layer.heads, head_size(layer)) == (2, 2)
    assert (layer.maker.out_features, layer.taker.in_features) == (4, 4)


def test_makers_of_several_projections_keep_the_same_heads_of_each() -> None:
    attention = Attention(ConformerConfig(width=16, heads=4))
    rows = attention.inward.weight.detach().unflatten(0, (3, 4, 4))
    keep_heads(attention, [1, 3])
    assert torch.equal(attention.inward.weight.unflatten(0, (3, 2, 4)), rows[:, [1, 3]])
    assert attention.inward.bias.shape == (24,)
