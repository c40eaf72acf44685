"""A user's own module as a network: how it wants its inputs, and which of its outputs are scores.

The module itself is handed over with each call; a recipe or a bundle holds what is said of it here
and never its code.

Shapes: N batch, H height, W width, C channels, K outputs.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NoReturn

import torch
from msgspec import Meta
from torch import Tensor, nn

from diptych.core.errors import ConfigError, TrainingError
from diptych.core.specs import Value

SMALLEST = 1e-12
CHOOSE = "choose one: --output"
FIRST, LOGITS = "0", "logits"


class Scaling(Value):
    """How values are scaled: less `mean`, by `deviation`, of each channel."""

    name: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class GivenConfig(Value, tag_field="name", tag="module"):
    """What a user's module was called, the hash of its weights, and how it is used.

    Without a `scaling` it takes raw inputs as they are, else floats, of pictures with their
    channels first or last. `output` names one of several outputs. Where these are probabilities,
    their logarithms are the logits.
    """

    source: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scaling: Scaling | None = None
    channels_first: bool = False
    output: str | None = None
    probabilities: bool = False


@dataclass(frozen=True, kw_only=True)
class Given:
    """A user's module, in evaluation mode and on the processor.

    `source` is what it was called, `output` which of its outputs are the scores, `sha256` the hash
    of its weights.
    """

    source: str
    network: nn.Module
    sha256: str
    output: str | None = None


class GivenNetwork(nn.Module):
    """Raw inputs in, logits out, by a user's module.

    Args:
        network: The module.
        config: How it is used.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, config: GivenConfig) -> None:
        super().__init__()
        self.network, self.config = network, config
        scaling = config.scaling or Scaling(name="", mean=(0.0,), deviation=(1.0,))
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(scaling, name), dtype=torch.float32)
            self.register_buffer(name, values, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            inputs: Raw, as the data's spec says, (N, ...).

        Returns:
            float32 (N, K).
        """
        if self.config.scaling is not None:
            inputs = (inputs.float() - self.mean) / self.deviation
        if self.config.channels_first:
            inputs = inputs.permute(0, 3, 1, 2)
        if self.training:
            scores = self._trained(inputs)
        else:
            scores = chosen(self.network(inputs), self.config.output)
        return scores.clamp_min(SMALLEST).log() if self.config.probabilities else scores

    def _trained(self, inputs: Tensor) -> Tensor:
        """Compute the scores in training mode, in which a module may give more, or fail."""
        try:
            outputs = self.network(inputs)
            return chosen(outputs, _main(outputs, self.config.output))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a user's code may raise anything
            reason = (str(error).strip() or "no reason told").splitlines()[0]
            raise TrainingError(
                f"{self.config.source} raises {type(error).__name__} in training mode: {reason}",
                "have its forward work in training mode too",
            ) from error


def open_given(config: GivenConfig, given: Given | None) -> GivenNetwork:
    """Bring a module to take what our networks take.

    Args:
        config: The plan.
        given: The module that was handed over, if one was.

    Returns:
        The network, in evaluation mode.

    Raises:
        ConfigError: If none was, or it has other weights.
    """
    if given is None:
        not_given(config)
    if given.sha256 != config.sha256:
        raise ConfigError(
            f"{given.source} has other weights than when this was planned",
            "have it make the same each time, or give --weights",
        )
    return GivenNetwork(given.network, config).eval()


def not_given(config: GivenConfig, *_: object) -> NoReturn:
    """Refuse to build a user's module: its code is nowhere but with the user.

    Args:
        config: The plan.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        f"{config.source} is code of a user's own, which no bundle or recipe holds",
        f"hand it over: compress {config.source}, or fit --teacher {config.source}",
    )


def chosen(outputs: object, name: str | None) -> Tensor:
    """Take the scores out of what a module gives.

    Args:
        outputs: A tensor, or several in a mapping, a sequence or a dataclass.
        name: The key, the field or the number of one of several.

    Returns:
        The tensor.

    Raises:
        ConfigError: If there are several and none was chosen, or what was chosen is no tensor.
    """
    if isinstance(outputs, Tensor) and name in {None, FIRST}:
        return outputs
    found = _tensors(outputs)
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    names = ", ".join(found) or "none with a name"
    if name is not None:
        raise ConfigError(f"the model gives no output {name!r}; it gives {names}", CHOOSE)
    if not found:
        raise ConfigError(f"the model gives a {type(outputs).__name__}, no tensor", "return scores")
    raise ConfigError(
        f"the model gives {len(found)} outputs: {names}", f"{CHOOSE} {next(iter(found))}"
    )


def _main(outputs: object, name: str | None) -> str | None:
    """Name the scores in training, where other outputs may come after them."""
    found = list(_tensors(outputs))
    if name not in {None, FIRST} or name in found or not found:
        return name
    if LOGITS in found:
        return LOGITS
    return found[0] if isinstance(outputs, list | tuple) else name


def _tensors(outputs: object) -> dict[str, Tensor]:
    """Return the tensors of several outputs by their names."""
    if isinstance(outputs, Mapping):
        items = {str(key): value for key, value in outputs.items()}
    elif dataclasses.is_dataclass(outputs):
        items = {field.name: getattr(outputs, field.name) for field in dataclasses.fields(outputs)}
    elif isinstance(outputs, tuple) and hasattr(outputs, "_asdict"):
        items = outputs._asdict()
    elif isinstance(outputs, list | tuple):
        items = {str(place): value for place, value in enumerate(outputs)}
    else:
        items = {}
    return {key: value for key, value in items.items() if isinstance(value, Tensor)}
