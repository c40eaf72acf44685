"""Claim: a pruned network learns faster than the same shape from its first weights.

Fashion-MNIST, 10,000 training pictures: a residual network of 153,850 parameters learns for 10
epochs and then teaches. Half of its channels are removed, by the slope of the loss and by batch
norm's scale, at once and in three steps, and what is left imitates the teacher; beside it, the same
shape from its first weights imitates the same teacher as long. All students learn for 6 epochs, and
once more for 16.

Scored on the 10,000 test pictures: accuracy of each, per seed, and the gain over the same shape
from its first weights with a paired interval over the test pictures, of the mean over seeds (Hall).
Then what pruning saves: parameters, operations, and the p50 of single predictions in ONNX Runtime
(fp32, teacher and pruned in alternation), each as a ratio.

Hardware: any, otherwise idle; one thread; printed. n: 10,000 test pictures, 3 seeds, 1,000 calls.
Source: this script; the official splits, of which 1,000 training pictures validate.

Usage, from benchmarks/: taskset -c 1 python -m compression.pruning [--work FOLDER]. What is done is
kept in the folder, and a second call goes on from there. `--items 300 --shorter 20` is a try.
"""

import dataclasses
from argparse import ArgumentParser
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from conditions import data_folder, print_conditions
from diptych.compression.prune import PruneRecipe
from diptych.core.values import Dataset, Split
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.pruning import train_pruned
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.fitting.trials import open_lowered
from diptych.measure.scores import drop
from diptych.measure.timing import interleave
from diptych.targets.lower import lower
from diptych.training.control import RunControl
from diptych.training.models import NetworkConfig, ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.variation import PictureVariation
from tasks.sets import WORK
from training.optimizers import Kept

SEEDS = (0, 1, 2)
VALIDATION_ITEMS = 1_000
NETWORK = ResidualNetConfig(stem=16, widths=(32, 64, 96), blocks=(0, 1, 0))
TEACHER_EPOCHS, EPOCHS = 10.0, (6.0, 16.0)
VARIATION = PictureVariation(translate=2, cutout=7, flip=True)
FIRST = "the same shape from its first weights"
ARMS = {
    "taylor": PruneRecipe(share=0.5),
    "scale": PruneRecipe(share=0.5, importance="scale"),
    "taylor, 3 steps": PruneRecipe(share=0.5, steps=3, epochs=1.0),
}
CALLS, CALLS_LIMIT_S = 1_000, 30.0


def head(split: Split, count: int) -> Split:
    return Split(
        inputs=np.ascontiguousarray(split.inputs[:count]),
        targets=split.targets[:count],
        items=split.items[:count],
    )


def plan_of(name: str, network: NetworkConfig, epochs: float, **how: Any) -> ModelPlan:
    training = TrainingRecipe(epochs=epochs, variation=VARIATION)
    return ModelPlan(name=name, network=network, training=training, **how)


def teach(dataset: Dataset, seed: int, shorter: float, work: Path) -> Trainee:
    """Train the teacher, or take it from its folder."""
    plan = plan_of("teacher", NETWORK, TEACHER_EPOCHS / shorter)
    with closing(RunFolder(work / f"teacher-{seed}", print)) as folder:
        return train_model(plan, dataset, RunControl(name="teacher", seed=seed, folder=folder))


def told(model: Trainee, dataset: Dataset) -> dict[str, Any]:
    """Return which test pictures a model tells right, its size, and its shape."""
    answers = model.outputs(dataset, "test").argmax(1)
    return {
        "right": np.flatnonzero(answers == dataset.test.targets).tolist(),
        "parameters": model.parameters,
        "flops": model.flops,
        "seconds": model.seconds,
        "network": msgspec.to_builtins(model.plan.network),
    }


def student(
    dataset: Dataset, teacher: Trainee, seed: int, epochs: float, arm: str, shorter: float
) -> Trainee:
    """Prune the teacher as an arm says, for as many epochs in all."""
    how = ARMS[arm]
    how = replace(how, epochs=how.epochs / shorter)
    last = epochs / shorter - (how.steps - 1) * how.epochs
    plan = plan_of("student", NETWORK, last, prune=how)
    control = RunControl(name="student", seed=seed, report=say)
    made = train_pruned(plan, dataset, control, teacher, teacher)
    if made is None:
        raise SystemExit("nothing could be pruned")
    return made


def say(step: Any) -> None:
    if "pruned" in step.note:
        print(f"  {step.note}", flush=True)


def rows(dataset: Dataset, seed: int, shorter: float, work: Path, kept: Kept) -> dict[str, Any]:
    """Return what each arm gives for a seed, by the names of arms and epochs."""
    teacher = teach(dataset, seed, shorter, work)
    found = {"teacher": kept.get(f"{seed} teacher", lambda: told(teacher, dataset))}
    for epochs in EPOCHS:
        for arm in ARMS:
            make = partial(student, dataset, teacher, seed, epochs, arm, shorter)
            name = f"{arm}, {epochs:g} epochs"
            found[name] = kept.get(f"{seed} {name}", lambda make=make: told(make(), dataset))
        shape = msgspec.convert(found[f"taylor, {epochs:g} epochs"]["network"], NetworkConfig)
        plan, name = plan_of("student", shape, epochs / shorter), f"{FIRST}, {epochs:g} epochs"
        control = RunControl(name="student", seed=seed)
        make = partial(train_model, plan, dataset, control, teacher)
        found[name] = kept.get(f"{seed} {name}", lambda make=make: told(make(), dataset))
    return found


def times(dataset: Dataset, shorter: float, work: Path) -> dict[str, float]:
    """Return the p50 in ms of the teacher and of its half, in alternation."""
    teacher = teach(dataset, SEEDS[0], shorter, work)
    pruned = student(dataset, teacher, SEEDS[0], EPOCHS[0], "taylor", max(shorter, 100.0))
    one = np.ascontiguousarray(dataset.test.inputs[:1])
    calls = {}
    for name, model in (("teacher", teacher), ("pruned", pruned)):
        program = lower(
            network_of(model), dataset.spec.tensor(), runtime="onnxruntime", precision="fp32"
        )
        calls[name] = partial(open_lowered(program).run, one)
    timed = interleave(calls, samples=CALLS, time_limit_s=CALLS_LIMIT_S)
    return {name: float(np.median(timing.latencies_ms)) for name, timing in timed.items()}


def compare(found: list[dict[str, Any]], count: int) -> None:
    """Print accuracies, the gains over first weights, and what is saved."""
    right: dict[str, np.ndarray] = {}
    for name in found[0]:
        right[name] = np.zeros((len(found), count))
        for row, seed in enumerate(found):
            right[name][row, seed[name]["right"]] = 1.0
        each = 100 * right[name].mean(1)
        spread = f" +- {each.std(ddof=1):.2f}" if len(each) > 1 else ""
        print(f"{name}: {each.mean():.2f}{spread} %, n {len(each)} seeds", flush=True)
    for epochs in EPOCHS:
        plain = right[f"{FIRST}, {epochs:g} epochs"].mean(0)
        for arm in ARMS:
            lost = drop(plain, right[f"{arm}, {epochs:g} epochs"].mean(0))
            print(
                f"{arm} against first weights, {epochs:g} epochs: {-100 * lost.value:.2f} points, "
                f"{-100 * lost.high:.2f} to {-100 * lost.low:.2f} (95 %, n {lost.n:,})"
            )


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression" / "pruning")
    parser.add_argument("--items", type=int, default=10_000, help="training and test pictures")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--shorter", type=float, default=1.0, help="divides all epochs")
    asked = parser.parse_args()
    print_conditions()
    work = asked.work / f"{asked.items}-{asked.shorter:g}"
    work.mkdir(parents=True, exist_ok=True)
    kept = Kept(work / "results.json")
    whole = read(data_folder("fashion-mnist"), Options(seed=0))
    dataset = dataclasses.replace(
        whole,
        train=head(whole.train, asked.items),
        validation=head(whole.validation, min(VALIDATION_ITEMS, asked.items)),
        test=head(whole.test, asked.items),
    )
    found = []
    for seed in SEEDS[: asked.seeds]:
        found.append(rows(dataset, seed, asked.shorter, work, kept))
    compare(found, len(dataset.test))
    teacher, pruned = found[0]["teacher"], found[0][f"taylor, {EPOCHS[0]:g} epochs"]
    for what in ("parameters", "flops"):
        ratio = teacher[what] / pruned[what]
        print(f"{what}: {teacher[what]:,} to {pruned[what]:,}, {ratio:.2f} times fewer")
    p50 = kept.get("p50 ms", lambda: times(dataset, asked.shorter, work))
    ratio = p50["teacher"] / p50["pruned"]
    print(
        f"p50, ONNX Runtime fp32: {1e3 * p50['teacher']:.0f} to {1e3 * p50['pruned']:.0f} us, "
        f"{ratio:.2f} times faster (n {CALLS:,} calls)"
    )


if __name__ == "__main__":
    main()
