"""A training that starts from other weights: data prepared alike, its plan, the first weights."""

import dataclasses
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace
from torch import nn

from diptych.core.progress import Step
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.data.reading import Options
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.control import RunControl
from diptych.training.start import Start, read_start
from diptych.training.transfer import begin


def read_alike(options: Options, start: Start) -> Options:
    """Have data prepared as it was for the weights.

    Args:
        options: How data is read.
        start: From a bundle or an encoder; a file says nothing of its inputs.

    Returns:
        The options, with the spec and the files of the bundle, and as many items held back for
        validation; a size of pictures and a number of items that are asked for stay. An encoder
        brings its tokenizer, and texts and pictures have the size of the data, but no more than it
        takes.
    """
    if start.encoder is not None:
        largest = start.encoder.largest
        return dataclasses.replace(options, largest=largest, assets=start.assets)
    if start.manifest is None:
        return options
    spec = start.manifest.input
    if isinstance(spec, ImageSpec) and options.image_size is not None:
        spec = replace(spec, height=options.image_size, width=options.image_size)
    held_back = options.validation_items or start.manifest.provenance.data.validation_items
    return dataclasses.replace(options, spec=spec, assets=start.assets, validation_items=held_back)


def with_start(plans: Sequence[ModelPlan], start: Start) -> ModelPlan:
    """Plan a training that starts from other weights, with the network that they are of.

    Args:
        plans: Of networks for the data, at least one.
        start: The weights.

    Returns:
        The plan of the same kind of network, else that by which the weights were trained, else the
        first. All layers learn alike: on 500 pictures of CIFAR-10, freezing for a fifth of the run
        and first layers at 0.3 of the rate gained nothing (57.8 and 59.0 %, not 59.1 %, of 5,000).
    """
    network = start.network()
    alike = [each for each in plans if type(each.network) is type(network)]
    chosen = (alike or _plans_of(start) or plans)[0]
    shape = network or chosen.network
    trained = replace(chosen, network=shape, start=start.plan, kept=False)
    return replace(trained, prune=None, source=None)


def begin_plan(
    plan: ModelPlan, network: nn.Module, dataset: Dataset, control: RunControl
) -> RunControl:
    """Put the first weights into a network, where its plan says from where.

    Args:
        plan: The plan.
        network: As built; changed in place.
        dataset: What it will learn.
        control: Told what was taken.

    Returns:
        The control of its run, which knows what is new.
    """
    if plan.start is None:
        return control
    start = read_start(plan.start.source, plan.start.sha256)
    started = begin(network, start, dataset)
    control.report(Step(stage="start", done=1, total=1, note=started.note))
    return dataclasses.replace(control, fresh=started.fresh)


def _plans_of(start: Start) -> list[ModelPlan]:
    """Return the plans by which the weights were trained, if that is known."""
    if start.manifest is None:
        return []
    try:
        recipe = msgspec.convert(start.manifest.provenance.recipe, FitRecipe)
    except msgspec.ValidationError:
        return []
    plans = [each for each in (recipe.teacher, *recipe.students) if each.network == start.network()]
    return [replace(each, training=replace(each.training, replans=(), cuts=())) for each in plans]
