"""The racer of `training.time_to_accuracy` that is ours: what `diptych train` does until its end.

The recipe is `recipes/fashion-mnist-93.toml`, or with the variant `usual` the plan for any such
pictures, with a `target_score`; checkpoints and records are kept as ever. To be scored like the
others, its validation split is the test split, and what is usually kept for validation is trained
on. Planning and building count.
"""

import dataclasses
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from conditions import ROOT
from diptych.core.progress import silent
from diptych.core.values import Dataset, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.machines import for_processor
from diptych.fitting.recipe import ModelPlan, read_recipe
from diptych.fitting.trainee import train_model
from diptych.measure.machine import describe
from diptych.training.control import CPU, RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.run_folder import RunFolder
from diptych.training.variation import PictureVariation
from training import track

RECIPE = ROOT / "recipes" / "fashion-mnist-93.toml"
USUAL_ITEMS = 60_000


def contest(dataset: Dataset, items: int) -> Dataset:
    """Train on all training pictures, score on the test split."""
    train, held = dataset.train, dataset.validation
    every = Split(
        inputs=np.concatenate((train.inputs, held.inputs))[: items or None],
        targets=np.concatenate((train.targets, held.targets))[: items or None],
        items=(*train.items, *held.items)[: items or None],
    )
    test = dataset.test
    if items:
        few = {"inputs": test.inputs[:items], "targets": test.targets[:items]}
        test = dataclasses.replace(test, **few, items=test.items[:items])
    return dataclasses.replace(dataset, train=every, validation=test)


def plan_of(variant: str, dataset: Dataset, seed: int) -> ModelPlan:
    if variant != "usual":
        return for_processor(read_recipe(RECIPE), describe(), CPU, silent).teacher
    plan = plan_fit(dataset, Budget(), describe(), seed, timed=False).teacher
    if len(dataset.train) >= USUAL_ITEMS:
        check(plan)
    return plan


def check(plan: ModelPlan) -> None:
    """Refuse to race where the peers' copy of the recipe is not the planned one."""
    usual = track.LENGTHS["usual"]
    shape = ResidualNetConfig(stem=track.STEM, widths=track.WIDTHS, blocks=track.BLOCKS)
    recipe = replace(
        plan.training,
        epochs=float(usual.epochs),
        batch_size=track.BATCH,
        optimizer="sgd",
        schedule="linear",
        learning_rate=track.RATE,
        momentum=track.MOMENTUM,
        weight_decay=track.DECAY,
        warmup_share=track.WARMUP_SHARE,
        label_smoothing=track.SMOOTHING,
        variation=PictureVariation(translate=usual.shift, cutout=usual.hole, flip=True),
    )
    if plan.network != shape or plan.training != recipe:
        sys.exit(f"track.py is not the plan any more; now it is\n{plan.network}\n{plan.training}")


def main() -> None:
    asked = track.arguments()
    dataset = contest(read(asked.data, Options(seed=0)), asked.items)
    clock = track.Clock(asked.target)
    plan = plan_of(asked.variant, dataset, asked.seed)
    training = replace(plan.training, target_score=asked.target, threads=asked.threads)
    if asked.items:
        training = replace(training, epochs=1.0, batch_size=track.BATCH)
    with (
        tempfile.TemporaryDirectory() as path,
        closing(RunFolder(Path(path), lambda text: None)) as folder,
    ):
        control = RunControl(name=plan.name, seed=asked.seed, folder=folder)
        trained = train_model(replace(plan, training=training), dataset, control)
    before = clock.seconds - trained.seconds
    for point in trained.curve:
        clock.tell(point.score, before + point.seconds)


if __name__ == "__main__":
    main()
