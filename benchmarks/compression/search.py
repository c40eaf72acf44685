"""Claim: the search for the cheapest student finds the winner of the whole grid at half its price.

The students of the plan for a data set, costliest first, all learn from one teacher: at most 8,000
items, 18 epochs, batches of 64. The first is the reference; for a limit on what may be lost against
it, the grid trains all to the end and takes the cheapest that keeps the limit on the validation
split. The search looks at them from the cheapest up and gives up who surely will not keep it. A
run that pauses goes on bit for bit (tests/training/test_resume.py), so what the search sees and
pays is read from the grid's own runs: the limits below cost no training more.

Printed for each limit: who wins by either, the price of the search and of the grid in operations of
training, both with the reference, and their ratio; the errors of the forecasts; and for each
contest that a limit of cost may lead to, who is the best at its end and at that of all trainings.

Hardware: any; one thread; nothing is timed. n: the runs and limits that are printed. Source: this
script.
Predicted: ratio 0.3 to 0.6; the same winner but for limits within 0.2 points of a student's end.

Usage, from benchmarks/: python -m compression.search TEACHER.dip [SET] [--work FOLDER] [--seed N],
where the teacher is a bundle of the set: fashion-mnist, cifar10 or spoken-digits. What is done is
kept; a second call goes on from there.
"""

import math
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as changed

from conditions import data_folder, print_conditions
from diptych.core.files import sha256_of_file
from diptych.core.progress import silent
from diptych.core.values import CurvePoint, Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.contest import Contest, capacities, rivals
from diptych.fitting.forecast import Forecast, forecast
from diptych.fitting.job import open_job
from diptych.fitting.ladder import RUNGS, climb
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.teacher import with_bundle
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, train_model
from diptych.training.control import RunControl
from tasks.sets import WORK
from training.optimizers import Kept

SETS = ("fashion-mnist", "cifar10", "spoken-digits")
ITEMS, EPOCHS, BATCH_SIZE = 8000, 18, 64
LIMITS = (0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05)


class Grid:
    """The students, trained to the end, each once."""

    def __init__(self, teacher: Path, name: str, work: Path, seed: int) -> None:
        settings, data = Settings(teacher=teacher), data_folder(name)
        job = open_job(data, Budget.parse("drop<=1%"), work / "search.dip", 0, settings)
        self.dataset, self.seed = some(job.dataset, seed), seed
        recipe = plan_fit(self.dataset, job.budget, job.machine, seed, timed=False)
        if job.start is None:
            raise SystemExit(f"{teacher} is no bundle")
        self.recipe = with_bundle(recipe, job.start, job.dataset)
        taught = sha256_of_file(teacher / "weights.safetensors")[:8]
        self.kept = Kept(work / f"search-{name}-{taught}-{seed}.json")
        self.teacher: Trainee | None = None

    def run(self, plan: ModelPlan) -> dict[str, list[float]]:
        """Give score and loss after each epoch, and the operations of one, in units of 10^12."""
        return self.kept.get(plan.name, lambda: self._train(plan))

    def _train(self, plan: ModelPlan) -> dict[str, list[float]]:
        control = RunControl(name="teacher", seed=self.seed)
        self.teacher = self.teacher or train_model(self.recipe.teacher, self.dataset, control)
        training = changed(plan.training, epochs=EPOCHS, batch_size=BATCH_SIZE, threads=1)
        control = RunControl(name=plan.name, seed=self.seed)
        model = train_model(changed(plan, training=training), self.dataset, control, self.teacher)
        print(f"  {plan.name}: {model.curve[-1].score:.4f} in {model.seconds:.0f} s", flush=True)
        scores = [point.score or 0.0 for point in model.curve]
        losses = [point.loss for point in model.curve]
        tera = [model.training_flops / EPOCHS / 1e12]
        return {"scores": scores, "losses": losses, "tera": tera}


def some(dataset: Dataset, seed: int) -> Dataset:
    """Leave some of the training items."""
    chosen = np.random.default_rng(seed).permutation(len(dataset.train))[:ITEMS]
    train = dataset.train
    few = replace(
        train,
        inputs=np.ascontiguousarray(train.inputs[chosen]),
        targets=train.targets[chosen],
        items=tuple(train.items[i] for i in chosen),
    )
    return replace(dataset, train=few)


def compare(grid: Grid, limit: float) -> tuple[str, str, float, float]:
    """Search and try all; who wins, and what each costs in 10^12 operations."""
    first, *others = grid.recipe.students
    reference = grid.run(first)
    needed = reference["scores"][-1] - limit
    looked: dict[str, int] = {}

    def look(plan: ModelPlan, share: float) -> Forecast:
        epochs = math.ceil(share * EPOCHS)
        looked[plan.name] = max(looked.get(plan.name, 0), epochs)
        scores = grid.run(plan)["scores"][:epochs]
        return forecast(scores, reference["scores"], len(grid.dataset.validation))

    found = first.name
    for plan in climb(others, needed, look):
        looked[plan.name] = EPOCHS
        if grid.run(plan)["scores"][-1] >= needed:
            found = plan.name
            break
    able = [plan.name for plan in others if grid.run(plan)["scores"][-1] >= needed]
    spent = sum(grid.kept.rows[name]["tera"][0] * epochs for name, epochs in looked.items())
    whole = sum(grid.run(plan)["tera"][0] * EPOCHS for plan in others)
    start = reference["tera"][0] * EPOCHS
    return (able or [first.name])[-1], found, start + spent, start + whole


def forecast_errors(grid: Grid, share: float) -> list[float]:
    """Give the logarithms of forecast by real final errors, of each student by each other."""
    epochs, items = math.ceil(share * EPOCHS), len(grid.dataset.validation)
    curves = [grid.run(plan)["scores"] for plan in grid.recipe.students]
    pairs = [(a, b) for a in curves for b in curves if a is not b]
    return [math.log((1 - forecast(a[:epochs], b, items).value) / (1 - a[-1])) for a, b in pairs]


def contests(grid: Grid) -> list[tuple[list[str], str, str]]:
    """Hold every contest that there may be: names of the rivals, who is chosen, who is best."""
    measure, found = capacities(grid.dataset), []
    plans = [
        changed(plan, training=changed(plan.training, epochs=EPOCHS))
        for plan in grid.recipe.students
    ]

    def train(plan: ModelPlan, epochs: int) -> Trainee:
        scores = enumerate(grid.run(plan)["scores"][:epochs], 1)
        curve = [
            CurvePoint(model=plan.name, epoch=epoch, seconds=0.0, loss=0.0, score=score)
            for epoch, score in scores
        ]
        return Trainee(plan=plan, network=None, curve=tuple(curve))

    for place in range(len(plans)):
        field = rivals(plans[place:], measure)
        if len(field) > 1:
            chosen = Contest().hold(field, train, lambda: True, silent)
            best = max(field, key=lambda plan: grid.run(plan)["scores"][-1])
            found.append(([plan.name for plan in field], chosen.name, best.name))
    return found


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher", type=Path)
    parser.add_argument("set", nargs="?", choices=SETS, default=SETS[0])
    parser.add_argument("--work", type=Path, default=WORK.parent / "compression")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print_conditions()
    grid = Grid(given.teacher, given.set, given.work, given.seed)
    ends = [(plan.name, grid.run(plan)["scores"][-1]) for plan in grid.recipe.students]
    print("ends: " + ", ".join(f"{name} {100 * end:.2f} %" for name, end in ends))
    tera = [grid.run(plan)["tera"][0] for plan in grid.recipe.students]
    print(f"the first student alone: {tera[0] / sum(tera):.2f} of the grid")
    for share in RUNGS:
        errors = forecast_errors(grid, share)
        spread = math.sqrt(sum(e * e for e in errors) / len(errors))
        print(f"forecasts after {share:.2f}: off by {math.exp(spread) - 1:.1%}, n {len(errors)}")
    for names, chosen, best in contests(grid):
        print(f"contest of {', '.join(names)}: {chosen} chosen, {best} best at the end")
    print("limit    winner of the grid     found                   search      grid  ratio")
    for limit in LIMITS:
        best, found, spent, whole = compare(grid, limit)
        print(
            f"{100 * limit:5.2f} %  {best:<20}   {found:<20} {spent:6.1f} T {whole:7.1f} T"
            f"  {spent / whole:.2f}"
        )


if __name__ == "__main__":
    main()
