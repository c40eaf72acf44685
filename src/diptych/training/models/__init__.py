"""Networks; each takes raw inputs and gives outputs, so that nothing is prepared twice."""

from typing import Any

from diptych.training.models.conformer import Conformer, ConformerConfig
from diptych.training.models.dscnn import DepthwiseNet, DepthwiseNetConfig
from diptych.training.models.given import GivenConfig, not_given
from diptych.training.models.huggingface import HuggingFaceConfig, build_encoder
from diptych.training.models.ngrams import Ngrams, NgramsConfig
from diptych.training.models.own import OwnConfig
from diptych.training.models.pruned import PrunedConfig, WholeConfig
from diptych.training.models.resnet import ResidualNet, ResidualNetConfig
from diptych.training.models.tabular import Tabular, TabularConfig
from diptych.training.models.textcnn import TextConvolution, TextConvolutionConfig
from diptych.training.models.textmixture import TextMixture, TextMixtureConfig
from diptych.training.models.timm_network import TimmConfig, build_timm
from diptych.training.models.transformer import Transformer, TransformerConfig
from diptych.training.models.whitened import WhitenedNet, WhitenedNetConfig

__all__ = [
    "NETWORKS",
    "ConformerConfig",
    "DepthwiseNetConfig",
    "GivenConfig",
    "HuggingFaceConfig",
    "NetworkConfig",
    "NgramsConfig",
    "OwnConfig",
    "PrunedConfig",
    "ResidualNet",
    "ResidualNetConfig",
    "TabularConfig",
    "TextConvolutionConfig",
    "TextMixtureConfig",
    "TimmConfig",
    "TransformerConfig",
    "WhitenedNetConfig",
]

NetworkConfig = WholeConfig | PrunedConfig
NETWORKS: dict[type, Any] = {
    ResidualNetConfig: ResidualNet,
    DepthwiseNetConfig: DepthwiseNet,
    ConformerConfig: Conformer,
    NgramsConfig: Ngrams,
    TextConvolutionConfig: TextConvolution,
    TextMixtureConfig: TextMixture,
    TransformerConfig: Transformer,
    TabularConfig: Tabular,
    WhitenedNetConfig: WhitenedNet,
    GivenConfig: not_given,
    HuggingFaceConfig: build_encoder,
    TimmConfig: build_timm,
}
"""What makes each config's network, of the config, an input's spec and the number of outputs.

The networks of a user's own task are built by the task, a user's own module is handed over; pruned
ones are built as whole, and then cut.
"""
