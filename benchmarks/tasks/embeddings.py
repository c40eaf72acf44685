"""Claim: knots embed the numbers of a table better on test rows than waves of learned frequency.

Knots are the plan's; waves (PLR, Y. Gorishniy et al. 2022) are first of frequencies that deviate
from 0 by one of `DEVIATIONS`, the best by the mean score on validation. All else is the plan's:
trees teach the widest student for its planned steps, without a time limit.

Hardware: any, one core; printed. n: each data set's validation split, on which the choice is made,
and its test split, which trains and chooses nothing; seeds 0, 1 and 2. Source: this script.

Usage, from benchmarks/: python -m tasks.embeddings [SET ...] [--work FOLDER]. A run that is
finished is not run again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from conditions import print_conditions
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.trainee import Trainee, train_model
from diptych.measure.machine import describe
from diptych.training.loop import RunControl
from tasks.sets import SCORES, SEEDS, SETS, arguments, folder

DEVIATIONS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
CHOICES: dict[str, dict[str, object]] = {"knots": {"embedding": "knots"}} | {
    f"periodic-{deviation}": {"embedding": "periodic", "wave_deviation": deviation}
    for deviation in DEVIATIONS
}


def scored(name: str, model: Trainee, dataset: Dataset) -> dict[str, float]:
    score = SETS[name].score
    found = {}
    for split in ("validation", "test"):
        outputs, targets = model.outputs(dataset, split), getattr(dataset, split).targets
        answers = outputs[:, 0] if score == "rmse" else outputs[:, -1] - outputs[:, 0]
        found[split] = SCORES[score](targets, answers.astype(np.float64))
    return found


def runs(name: str, seed: int, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Train what is not trained yet; give each choice with its scores."""
    place = work / "embeddings" / name
    place.mkdir(parents=True, exist_ok=True)
    files = {choice: place / f"{choice}-{seed}.json" for choice in CHOICES}
    if not all(file.is_file() for file in files.values()):
        dataset = read(folder(name, work), Options(seed=seed, target=SETS[name].label))
        plan = plan_fit(dataset, Budget.parse(SETS[name].budget), describe(), seed, timed=False)
        trees = train_model(plan.teacher, dataset, RunControl(name="trees", seed=seed))
    for choice, file in files.items():
        if not file.is_file():
            student = plan.students[0]
            student = replace(student, network=replace(student.network, **CHOICES[choice]))
            control = RunControl(name=student.name, seed=seed)
            model = train_model(student, dataset, control, trees)
            result = scored(name, model, dataset) | {"seconds": model.cpu_seconds}
            file.write_text(json.dumps(result) + "\n")
        yield choice, json.loads(file.read_text())


def main() -> None:
    asked = arguments(__doc__)
    print_conditions()
    for name in [name for name in asked.sets if SETS[name].kind == "table"]:
        found: dict[str, list[dict[str, float]]] = {choice: [] for choice in CHOICES}
        for seed in SEEDS:
            for choice, result in runs(name, seed, asked.work):
                found[choice].append(result)
                print(f"{name} seed {seed} {choice}: {json.dumps(result)}", flush=True)
        print(f"\n{name}, {SETS[name].score}: mean over {len(SEEDS)} seeds (lowest to highest)")
        for choice, results in found.items():
            cells = []
            for split in ("validation", "test", "seconds"):
                values = [result[split] for result in results]
                spread = f"{min(values):.5g} to {max(values):.5g}"
                cells.append(f"{split} {np.mean(values):.5g} ({spread})")
            print(f"  {choice:14} {', '.join(cells)}")


if __name__ == "__main__":
    main()
