import torch

from diptych.core.specs import TextSpec
from diptych.training.models.ngrams import NgramsConfig
from diptych.training.models.textcnn import TextConvolutionConfig
from diptych.training.models.textmixture import TextMixture, TextMixtureConfig

CONFIG = TextMixtureConfig(
    bag=NgramsConfig(buckets=2_001),
    convolution=TextConvolutionConfig(width=16, channels=16, dropout=0.0),
)
SPEC = TextSpec(tokens=8, vocabulary=50)
TOKENS = torch.arange(1, 25, dtype=torch.int32).reshape(3, 8)


def test_outputs_are_the_mean_of_what_each_member_answers() -> None:
    network = TextMixture(CONFIG, SPEC, 3)
    torch.nn.init.normal_(network.bag.table.weight)
    members = torch.stack([network.bag(TOKENS), network.convolution(TOKENS)], 1)
    torch.testing.assert_close(network.train()(TOKENS), members)
    torch.testing.assert_close(network.eval()(TOKENS), members.mean(1))


def test_scaling_scales_both() -> None:
    scaled = CONFIG.scaled(2.0)
    assert scaled == TextMixtureConfig(
        bag=CONFIG.bag.scaled(2.0), convolution=CONFIG.convolution.scaled(2.0)
    )
