"""A pretrained encoder, fine-tuned: a teacher that students know by its answers.

It reads texts as they were written, with its own tokenizer, and pictures as students see them;
items that there is no time to answer stand with their label.

Shapes: N texts, B batch, L tokens, K outputs.

Source: J. Devlin et al., "BERT", 2018, for the settings; R. Tang et al., "Distilling task-specific
knowledge from BERT into simple neural networks", 2019.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from diptych.core.errors import ConfigError, DataError, TrainingError
from diptych.core.progress import Step
from diptych.core.seeds import generator
from diptych.core.specs import ImageSpec, TextSpec, Value
from diptych.core.text import duration
from diptych.core.unlabelled import Unlabelled
from diptych.core.values import Dataset, Split
from diptych.training import pretrained
from diptych.training.compute import compute_outputs, initialize
from diptych.training.control import RunControl
from diptych.training.loop import train_network
from diptych.training.models.rescaled import Rescaled, target_scale
from diptych.training.objectives import Objective
from diptych.training.picture_encoder import PictureEncoder, picture_encoder, preparation_of
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel
from diptych.training.text_encoder import Encoder

CHUNK = 64
PACE_TEXTS, LOOKS = 16, 4
ANSWERING_SHARE = 0.25
MOST_SCORING_SHARE = 0.5
CERTAIN = 3.0
PASSES_PER_STEP = 3
SPLITS = ("train", "validation", "test")


class EncoderConfig(Value, tag_field="name", tag="encoder"):
    """A local Hugging Face `folder` with an encoder, of whose texts `max_tokens` are read.

    `sha256` is of the files that are read: a recipe that has it is followed with these alone.
    `answered` is how many training texts it answers, all by default.
    """

    folder: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: str | None = None
    max_tokens: Annotated[int, Meta(ge=8, le=8192)] = 128
    answered: Annotated[int, Meta(ge=0)] | None = None


def check_items(dataset: Dataset) -> None:
    """Check that an encoder can read the data.

    Args:
        dataset: The data.

    Raises:
        ConfigError: If it is neither of texts nor of pictures.
        DataError: If it does not hold the texts as they were written.
    """
    if isinstance(dataset.spec, ImageSpec):
        return
    if not isinstance(dataset.spec, TextSpec):
        raise ConfigError(
            f"a given teacher works with texts or pictures, and this is {dataset.task}",
            "leave the teacher out: one is trained",
        )
    for name in SPLITS:
        _texts(name, getattr(dataset, name))


def train_encoder(
    dataset: Dataset,
    config: EncoderConfig,
    recipe: TrainingRecipe,
    objective: Objective,
    control: RunControl,
) -> RecordedModel:
    """Fine-tune an encoder, and record its answers.

    Answers to texts that it was trained on are surer than they would be otherwise, so students
    learn labels more than doubts: two layers of random weights, 64 wide, 6 epochs of trec, were
    right on 98 % of these texts at a mean probability of 98 %, and on 79 % of the test texts at
    95 %. No temperature undoes it: bags that learned from them were right on 87.5 % of the test
    texts at temperatures 1 and 2, 88.0 % at 4, 88.0 % at 2 with half of the loss on labels, and
    89.2 % without that teacher (means of 3 seeds). An encoder that knows the language would
    overfit less; that was not measured.

    Args:
        dataset: Of texts, with its `originals`.
        config: The encoder.
        recipe: How it is trained.
        objective: The loss.
        control: Name, seed, deadline (of training and answering), progress and stop request.

    Returns:
        Its answers.

    Raises:
        TrainingError: If there is no time for the answers that must be there.
        KeyboardInterrupt: If a person asked to stop.
    """
    started, cpu_started = control.clock(), time.process_time()
    control, processors = control.counting()
    control.report(Step(stage=control.name, done=0, total=1, note=f"open {config.folder}"))
    check_items(dataset)
    network, told = _opened(dataset, config, control)
    aside = _answering_s(network, told, recipe, control)
    deadline = None if control.deadline is None else control.deadline - aside
    trained = train_network(network, told, recipe, objective, replace(control, deadline=deadline))
    if control.stop:
        raise KeyboardInterrupt
    validation = compute_outputs(network, told.validation.inputs, recipe)
    test = compute_outputs(network, told.test.inputs, recipe)
    more = told.unlabelled
    unlabelled = None if more is None else compute_outputs(network, more.inputs, recipe)
    train, answered = _answers(network, told, recipe, config, control)
    flops = _flops(network, told, recipe)
    num_answers = answered + len(validation) + len(test) + _num_more(told)
    return RecordedModel(
        train=train,
        validation=validation,
        test=test,
        unlabelled=unlabelled,
        seconds=control.clock() - started,
        cpu_seconds=time.process_time() - cpu_started,
        cpu_energy=processors.energy(),
        samples=trained.samples,
        curve=trained.curve,
        parameters=sum(p.numel() for p in network.parameters()),
        flops=flops,
        training_flops=flops * (PASSES_PER_STEP * trained.samples + num_answers),
        recipe=trained.recipe,
        answered=answered if answered < len(train) else None,
    )


def _opened(
    dataset: Dataset, config: EncoderConfig, control: RunControl
) -> tuple[nn.Module, Dataset]:
    """Return the network, and the data in the tokens that it takes."""
    folder = Path(config.folder)
    pretrained.check_folder(folder)
    if config.sha256 not in {None, pretrained.fingerprint(folder)}:
        raise ConfigError(f"{folder} is not what the recipe was made with", "give it as --teacher")
    _check_same_items(folder, dataset)

    def make() -> Encoder | PictureEncoder:
        model = pretrained.open_network(folder, len(dataset.labels))
        if isinstance(dataset.spec, ImageSpec):
            return picture_encoder(model, preparation_of(folder, model), dataset.spec)
        return Encoder(model)

    encoder, told = initialize(make, control.seed, control.name), dataset
    if isinstance(encoder, Encoder):
        train, validation, test = (
            _in_tokens(name, getattr(dataset, name), encoder, config) for name in SPLITS
        )
        more = _more_in_tokens(dataset, encoder, config)
        told = replace(dataset, train=train, validation=validation, test=test, unlabelled=more)
    if dataset.goal != "regression":
        return encoder.to(control.device), told
    return Rescaled(encoder, *target_scale(dataset)).to(control.device), told


def _check_same_items(folder: Path, dataset: Dataset) -> None:
    items = pretrained.items_of(folder)
    if items != ("pictures" if isinstance(dataset.spec, ImageSpec) else "texts"):
        raise ConfigError(
            f"{folder} is an encoder of {items}, and this is {dataset.task}",
            "give one for this kind of data",
        )


def _in_tokens(name: str, split: Split, encoder: Encoder, config: EncoderConfig) -> Split:
    return replace(split, inputs=_tokens(_texts(name, split), encoder, config))


def _more_in_tokens(dataset: Dataset, encoder: Encoder, config: EncoderConfig) -> Unlabelled | None:
    more = dataset.unlabelled
    if more is None:
        return None
    texts = tuple(text for text in more.originals or () if isinstance(text, str))
    return replace(more, joined=_tokens(texts, encoder, config))


def _num_more(told: Dataset) -> int:
    return 0 if told.unlabelled is None else len(told.unlabelled.items)


def _tokens(texts: tuple[str, ...], encoder: Encoder, config: EncoderConfig) -> np.ndarray:
    most = pretrained.most_tokens(encoder.model, config.max_tokens)
    tokenizer = pretrained.open_tokenizer(Path(config.folder), most)
    rows = pretrained.tokens_of(tokenizer, texts, most, encoder.padding)
    if rows.size and rows.max() >= encoder.model.get_input_embeddings().num_embeddings:
        raise ConfigError(
            f"the tokenizer of {config.folder} has tokens that its model does not know",
            "get the folder again",
        )
    return rows


def _texts(name: str, split: Split) -> tuple[str, ...]:
    texts = tuple(text for text in split.originals or () if isinstance(text, str))
    if len(texts) < len(split):
        raise DataError(
            f"the {name} split does not hold its texts as they were written",
            "read the data with diptych, or give each Split its originals",
        )
    return texts


def _answering_s(
    network: nn.Module, told: Dataset, recipe: TrainingRecipe, control: RunControl
) -> float:
    """Say how much of the time to leave for answers, by the best pace of a few."""
    if control.deadline is None:
        return 0.0
    order = generator(control.seed, control.name, "pace").permutation(len(told.train))
    times = [control.clock()]
    for some in np.resize(order, (LOOKS, PACE_TEXTS)):
        compute_outputs(network, told.train.inputs[some], recipe)
        times.append(control.clock())
    pace = float(np.diff(times).min()) / PACE_TEXTS
    left = control.deadline - times[-1]
    needed = pace * (2 * len(told.validation) + len(told.test) + _num_more(told))
    if needed > MOST_SCORING_SHARE * left:
        raise TrainingError(
            f"{control.name} needs {duration(needed)} to answer validation and test, and has "
            f"{duration(max(left, 0.0))} in all",
            "give a longer time limit or a smaller encoder",
        )
    return needed + min(pace * len(told.train), ANSWERING_SHARE * (left - needed))


def _answers(
    network: nn.Module,
    told: Dataset,
    recipe: TrainingRecipe,
    config: EncoderConfig,
    control: RunControl,
) -> tuple[np.ndarray, int]:
    """Return the answers to the training texts (N, K), and to how many there was time."""
    inputs = told.train.inputs
    outputs, answered = _sure(told), 0
    order = generator(control.seed, control.name, "answers").permutation(len(inputs))
    order = order[: config.answered]
    while answered < len(order) and not _late(control):
        rows = order[answered : answered + CHUNK]
        outputs[rows] = compute_outputs(network, inputs[rows], recipe)
        answered += len(rows)
        control.report(Step(stage=f"{control.name} answers", done=answered, total=len(order)))
    return outputs, answered


def _late(control: RunControl) -> bool:
    """Say whether the time is over; a stop that a person asked for ends it all."""
    if control.stop:
        raise KeyboardInterrupt
    return control.deadline is not None and control.clock() >= control.deadline


def _sure(told: Dataset) -> np.ndarray:
    """Return the training labels as outputs (N, K) that are sure of them."""
    targets = told.train.targets
    if told.goal == "regression":
        return targets.astype(np.float32)[:, None]
    known = targets if targets.ndim == 2 else np.eye(len(told.labels))[targets]
    return (CERTAIN * (2 * known - 1)).astype(np.float32)


def _flops(network: nn.Module, told: Dataset, recipe: TrainingRecipe) -> int:
    """Count the operations of one forward pass, the mean over some texts."""
    some = told.train.inputs[:: -(-len(told.train) // CHUNK)]
    with FlopCounterMode(display=False) as counter:
        compute_outputs(network, some, recipe)
    return int(counter.get_total_flops()) // len(some)
