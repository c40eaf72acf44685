"""Claim: int8 is the fastest and smallest; other precisions are for where it loses too much.

Hardware: any; printed. A network is trained briefly, lowered in every precision for ONNX Runtime
and OpenVINO, and each program is judged: size; median latency of single predictions, one thread,
blocks in alternation, after warm-up, and the median of paired ratios to fp32 in the same runtime,
with its interval; score on the test split; labels that are others than those of the network. Sets
and seeds are fixed; one training each.
Source: this script. Usage, in benchmarks/: python -m compression.precisions [NAME ...], of
pictures, transformer, bag; needs the folder of data sets (DIPTYCH_DATA).
"""

import sys
from pathlib import Path

import numpy as np

from conditions import data_folder, print_conditions
from diptych.core.progress import silent
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.calibration import calibration_items
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.fitting.trials import open_lowered, run_all
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.timing import interleave
from diptych.targets import RESERVE, TARGETS
from diptych.targets.lower import LoweredProgram, lower_exported
from diptych.targets.onnx import export
from diptych.targets.parity import compare
from diptych.targets.weights_only import linear_weights
from diptych.tasks.goals import kind_of
from diptych.training.control import RunControl
from diptych.training.models import NgramsConfig, ResidualNetConfig, TransformerConfig
from diptych.training.recipe import TrainingRecipe

CALLS = 1000
SECONDS = 60.0
ITEMS = 2000
PLANS = {
    "pictures": (
        "fashion-mnist",
        ModelPlan(
            name="residual",
            network=ResidualNetConfig(stem=16, widths=(32, 64, 96), blocks=(1, 1, 0)),
            training=TrainingRecipe(epochs=1, batch_size=128),
        ),
    ),
    "transformer": (
        "trec",
        ModelPlan(
            name="transformer",
            network=TransformerConfig(width=256, heads=4, layers=4, hidden=1024),
            training=TrainingRecipe(epochs=3, batch_size=32, optimizer="adamw", learning_rate=4e-4),
        ),
    ),
    "bag": (
        "trec",
        ModelPlan(
            name="ngrams",
            network=NgramsConfig(),
            training=TrainingRecipe(epochs=10, batch_size=64, learning_rate=0.08),
        ),
    ),
}


def programs(model: Trainee, dataset: Dataset) -> list[LoweredProgram]:
    calibration, spec = calibration_items(dataset, 512, 0, silent), dataset.spec.tensor()
    exported = export(network_of(model), spec)
    alone = ("int8-weights", "int4-weights") if not linear_weights(exported) else ()
    choices = [c for c in (*TARGETS["cpu"], *RESERVE["cpu"]) if c[1] not in alone]
    return [lower_exported(exported, spec, choice, calibration) for choice in choices]


def judge(name: str) -> None:
    source, plan = PLANS[name]
    dataset = read(Path(data_folder(source)), Options(seed=0))
    model = train_model(plan, dataset, RunControl(name=plan.name, seed=0))
    reference, inputs = model.outputs(dataset, "test")[:ITEMS], dataset.test.inputs[:ITEMS]
    targets, kind = dataset.test.targets[:ITEMS], kind_of(dataset)
    lowered = {f"{p.runtime} {p.precision}": p for p in programs(model, dataset)}
    sessions = {key: open_lowered(program) for key, program in lowered.items()}
    one = np.ascontiguousarray(inputs[:1])
    runs = {key: (lambda s=session: s.run(one)) for key, session in sessions.items()}
    times = interleave(runs, samples=CALLS, time_limit_s=SECONDS)
    score = kind.item_scores(reference, targets).mean()
    print(f"\n{name}: {plan.name} on {source}, {model.parameters:,} parameters, {score:.2%}")
    for key, timing in times.items():
        floats = times[f"{lowered[key].runtime} fp32"].latencies_ms
        calls = min(len(floats), len(timing.latencies_ms))
        ratio = median_ratio(timing.latencies_ms[:calls], floats[:calls])
        outputs = run_all(sessions[key], inputs)
        parity = compare(reference, outputs)
        print(
            f"  {key:26} {sum(map(len, lowered[key].contents.values())):>11,} B  "
            f"p50 {quantile(timing.latencies_ms, 0.5).value:7.3f} ms  "
            f"{ratio.value:5.2f} of fp32 ({ratio.low:.2f} to {ratio.high:.2f}, n {calls})  "
            f"score {kind.item_scores(outputs, targets).mean():.2%}  "
            f"{parity.flips} of {parity.n} others, "
            f"off by {parity.max_difference / np.ptp(reference):.2%} of the range"
        )


def main() -> None:
    print_conditions()
    for name in sys.argv[1:] or PLANS:
        judge(name)


if __name__ == "__main__":
    main()
