"""A user's own module: made by the function that was named, and made ready to be used."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_bytes
from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset
from diptych.targets.adopted import ForeignConfig, open_adopted
from diptych.tasks.code import find_object
from diptych.training import weights
from diptych.training.compute import device_of
from diptych.training.models.given import Given, GivenConfig, open_given
from diptych.training.start import read_start

STAGE = "teacher"
NAMED = 3
NO_CODE = "give a function that makes it: file.py:FUNCTION"


def make_given(
    source: str, report: Reporter, given_weights: Path | None = None, output: str | None = None
) -> Given:
    """Make a user's module by the function that was named.

    Args:
        source: ``file.py:FUNCTION`` or ``package.module:FUNCTION``; it is called without arguments.
        report: Told how the module was changed to be used.
        given_weights: A safetensors file with all of its weights, if it does not come with them.
        output: Which of its outputs are the scores, where it gives several.

    Returns:
        The module.

    Raises:
        ConfigError: If there is no such function, it raises, or does not return a module.
    """
    function = find_object(source)
    if isinstance(function, nn.Module):
        return take(function, source, report, given_weights, output)
    if not callable(function):
        raise ConfigError(f"{source} is of type {type(function).__name__}, no function", NO_CODE)
    try:
        made = function()
    except Exception as error:  # a user's code may raise anything
        raise ConfigError(
            f"{source}() raises {type(error).__name__}: {error}",
            "it is called without arguments, and returns a torch.nn.Module",
        ) from error
    return take(made, source, report, given_weights, output)


def take(
    made: object,
    source: str,
    report: Reporter,
    given_weights: Path | None = None,
    output: str | None = None,
) -> Given:
    """Take a module as it is used here: a copy, in evaluation mode, on the processor.

    Args:
        made: A module, or an exported program.
        source: What to call it.
        report: Told what was changed.
        given_weights: A safetensors file with all of its weights, if it does not come with them.
        output: Which of its outputs are the scores, where it gives several.

    Returns:
        The module.

    Raises:
        ConfigError: If it is no module, cannot be copied, or has no weights.
    """
    network = _copied(made, source)
    if given_weights is not None:
        _load(network, source, given_weights)
    if device_of(network).type == "meta":
        raise ConfigError(f"{source} has no weights: it is on the device meta", "give --weights")
    for what in _changed(network):
        report(Step(stage=STAGE, done=1, total=1, note=f"{source} {what}"))
    network = network.cpu().eval()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    sha256 = sha256_of_bytes(weights.encode(network))
    return Given(source=source, network=network, sha256=sha256, output=output)


def open_elsewhere(
    config: ForeignConfig | GivenConfig, dataset: Dataset, threads: int, given: Given | None
) -> nn.Module:
    """Open a model that was made elsewhere.

    Args:
        config: How it is used.
        dataset: Whose inputs it is to take.
        threads: With how many an ONNX file computes.
        given: The user's module, if it is one.

    Returns:
        The network, in evaluation mode.
    """
    if isinstance(config, GivenConfig):
        return open_given(config, given)
    return open_adopted(config, dataset.spec, threads)


def _copied(made: object, source: str) -> nn.Module:
    if isinstance(made, ExportedProgram):
        followed = made.module(check_guards=False)
        made = GraphModule(followed, followed.graph)  # which has a training mode
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"{source} gives a {type(made).__name__}, no torch.nn.Module", "return the module"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, of exported programs
            return copy.deepcopy(made)
    except Exception as error:  # a user's module may hold anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{source} cannot be copied: {reason}",
            "remove hooks, handles and locks first, such as by torch.nn.utils.remove_weight_norm "
            "or prune.remove",
        ) from error


def _load(network: nn.Module, source: str, path: Path) -> None:
    """Put all weights of a file into a module; a bundle's are called ``network.`` and so on."""
    tensors = {
        name.removeprefix("network."): tensor for name, tensor in read_start(path).tensors.items()
    }
    own = network.state_dict()
    tensors = tensors if tensors.keys() == own.keys() else dict(read_start(path).tensors)
    if wrong := "; ".join(_differences(own, tensors)):
        raise ConfigError(
            f"{path} does not fit {source}: {wrong}", "give the weights of this module, all of them"
        )
    network.load_state_dict(tensors, assign=device_of(network).type == "meta")


def _differences(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    """Say what a module lacks in a file, what the file has beside, and whose shapes differ."""
    both = [name for name in own if name in found and own[name].shape != found[name].shape]
    shapes = [f"{n} is {_shape(found[n])}, not {_shape(own[n])}" for n in both]
    missing, others = [n for n in own if n not in found], [n for n in found if n not in own]
    for what, names in (("it lacks", missing), ("it has beside", others), ("", shapes)):
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"{what} {', '.join(names[:NAMED])}{more}".strip()


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _changed(network: nn.Module) -> Iterator[str]:
    device = device_of(network)
    if device.type != "cpu":
        yield f"is on the device {device}: a copy on the processor is used"
    if network.training:
        yield "is in training mode: it is used in evaluation mode"
