"""A bundle put together: programs, golden examples, weights, card, page and the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
from msgspec.structs import replace

from diptych import __version__
from diptych.core.damage import Damage, WorstItem
from diptych.core.extras import installed
from diptych.core.files import sha256_of_bytes
from diptych.core.manifest import FORMAT_VERSION, Manifest, Provenance
from diptych.core.progress import Reporter, Step, silent
from diptych.core.seeds import generator
from diptych.core.specs import OwnSpec
from diptych.core.values import Candidate, GivenUp, ModelSummary, Program, Relaxation, Verdict
from diptych.fitting.choice import nearest, relaxation_of_choice, relaxations
from diptych.fitting.damage import Answered, assess
from diptych.fitting.job import Job
from diptych.fitting.ledger import breakeven, training_summary
from diptych.fitting.packing import pack
from diptych.fitting.recipe import FitRecipe
from diptych.fitting.trainee import Trainee, network_of
from diptych.fitting.trials import Trial, run_singly
from diptych.fitting.verdicts import Evidence, cold, give_verdicts, memory, overall, scores
from diptych.fitting.worst import inputs_of
from diptych.inference import golden, store, worst
from diptych.inference.runtimes import RUNTIMES
from diptych.measure.quantiles import quantile
from diptych.measure.scores import drop
from diptych.reporting.card import render_card
from diptych.reporting.page import render_page
from diptych.training import weights

GOLDEN_ITEMS = 32
NAMED_SKIPPED = 100
PORTABLE_RUNTIME = "onnxruntime"
FOR_PEOPLE = {"README.md", "report.html"}  # may be written again, so they are not listed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a fit has so far: the models, the programs tried, the choice and its evidence.

    `trainees` begin with the teacher; those that were given up come last. `noise_floor` is the
    share by which the costs of one program differed from themselves, where that was measured;
    `untrained` names the students for which there was no time.
    """

    recipe: FitRecipe
    trainees: Sequence[Trainee]
    trials: Sequence[Trial]
    candidates: Sequence[Candidate]
    chosen: Candidate
    evidence: Evidence
    interrupted: bool
    calibration_sha256: str | None
    given_up: tuple[GivenUp, ...] = ()
    untrained: tuple[str, ...] = ()
    noise_floor: float | None = None


def write_bundle(
    job: Job, outcome: Outcome, *, with_page: bool = False, report: Reporter = silent
) -> Manifest:
    """Write the bundle of what a fit has so far; an earlier one is replaced in one step.

    Args:
        job: What the fit is about.
        outcome: What it has.
        with_page: Draw ``report.html`` as well, where the extra for it is installed.
        report: Told when that begins and ends.

    Returns:
        What ``bundle.json`` holds.
    """
    chosen = next(t for t in outcome.trials if t.name == outcome.chosen.name)
    kept = kept_trials(chosen, outcome.trials, outcome.candidates)
    examples = _golden_inputs(job)
    answers = [run_singly(trial.session, examples) for trial in kept]
    packed = [
        pack(trial.program, each, trial.unverified, trial.threads)
        for trial, each in zip(kept, answers, strict=True)
    ]
    expected = {p.name: each for ps, each in zip(packed, answers, strict=True) for p in ps}
    contents = {name: data for trial in kept for name, data in trial.program.contents.items()}
    contents |= job.dataset.assets
    contents["weights.safetensors"] = weights.encode(network_of(chosen.model))
    contents["golden.npz"] = golden.build(examples, expected)
    programs = tuple(program for group in packed for program in group)
    manifest = _manifest(job, outcome, chosen, programs)
    shown = inputs_of(_worst(manifest), job.dataset.test.inputs)
    if len(shown):
        contents[worst.FILE_NAME] = worst.build(shown)
    contents["README.md"] = render_card(manifest).encode()
    if with_page and installed("altair", "vl_convert", "jinja2"):
        report(Step(stage="page", done=0, total=1))
        page = render_page(
            manifest,
            examples,
            expected[chosen.program.name],
            assets=job.dataset.assets,
            run=chosen.session.run,
            worst=shown,
        )
        contents["report.html"] = page.encode()
        report(Step(stage="page", done=1, total=1))
    unlisted = {file.path for program in programs for file in program.files} | FOR_PEOPLE
    files = tuple(store.record(n, data) for n, data in contents.items() if n not in unlisted)
    manifest = replace(manifest, files=files)
    store.write(job.destination, manifest, contents)
    return manifest


def kept_trials(
    chosen: Trial, trials: Sequence[Trial], candidates: Sequence[Candidate] = ()
) -> list[Trial]:
    """Keep the choice, and beside it a program of the same network that the base install can run.

    Args:
        chosen: The choice.
        trials: All programs that were tried.
        candidates: What they showed.

    Returns:
        It, and where it needs an extra the other one: the first by whether it keeps the budget,
        was trained alike, is in the same precision, then by score.
    """
    if PORTABLE_RUNTIME in {chosen.program.runtime, RUNTIMES[chosen.program.runtime].stand_in}:
        return [chosen]
    shown = {candidate.name: candidate for candidate in candidates}

    def rank(trial: Trial) -> tuple[bool, bool, bool, float]:
        row = shown.get(trial.name)
        return (
            row is None or not row.meets_budget,
            trial.model is not chosen.model,
            trial.program.precision != chosen.program.precision,
            0.0 if row is None else -row.score.value,
        )

    portable = [t for t in trials if _is_portable(t) and _same_network(t.model, chosen.model)]
    return [chosen, *sorted(portable, key=rank)[:1]]


def _is_portable(trial: Trial) -> bool:
    """Say whether the base install runs a program; a cascade has a network more."""
    return trial.program.runtime == PORTABLE_RUNTIME and trial.program.passed_on is None


def _same_network(one: Trainee, other: Trainee) -> bool:
    """Say whether two have the same weights, such as a model and it with a second look."""
    return one is other or (one.network is not None and one.network is other.network)


def _golden_inputs(job: Job) -> np.ndarray:
    split = job.dataset.test
    order = generator(job.dataset.record.seed, "golden").permutation(len(split))
    return np.ascontiguousarray(split.inputs[np.sort(order[:GOLDEN_ITEMS])])


def _manifest(job: Job, outcome: Outcome, chosen: Trial, programs: tuple[Program, ...]) -> Manifest:
    record = job.dataset.record
    record = replace(record, skipped=record.skipped[:NAMED_SKIPPED])
    verdicts = give_verdicts(job.budget, outcome.evidence)
    verdict = overall(verdicts)
    training = training_summary(outcome.trainees, job.dataset)
    rows = [replace(c, chosen=c.name == outcome.chosen.name) for c in outcome.candidates]
    return Manifest(
        format_version=FORMAT_VERSION,
        name=record.name,
        goal=job.dataset.goal,
        labels=job.dataset.labels,
        input=job.dataset.spec,
        programs=programs,
        files=(),
        budget=job.budget.text,
        verdict=verdict,
        terms=verdicts,
        candidates=tuple(rows),
        relaxations=() if verdict == "PASS" else _relaxations(job, rows, verdicts, chosen.name),
        teacher=_teacher_summary(outcome),
        model=_model_summary(outcome, chosen),
        training=training,
        breakeven_predictions=breakeven(
            training.energy,
            None if outcome.evidence.on_gpu else outcome.evidence.energy,
            training.gpu_energy,
        ),
        curves=tuple(point for model in outcome.trainees for point in model.curve),
        machine=job.machine,
        provenance=Provenance(
            data=record,
            seed=outcome.recipe.seed,
            recipe=msgspec.to_builtins(outcome.recipe),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            interrupted=outcome.interrupted,
            calibration_sha256=outcome.calibration_sha256,
        ),
        assets=tuple(job.dataset.assets),
        damage=_damage(job, outcome, chosen),
        given_up=outcome.given_up,
        untrained=outcome.untrained,
        nearest=() if verdict == "PASS" else tuple(c.name for c in nearest(rows, job.budget)),
        noise_floor=outcome.noise_floor,
        architecture=msgspec.to_builtins(chosen.model.plan.network) | {"diptych": __version__},
    )


def _relaxations(
    job: Job, rows: Sequence[Candidate], verdicts: Sequence[Verdict], chosen: str
) -> tuple[Relaxation, ...]:
    """Return what the test split says of the choice before what validation says of the others."""
    tested = relaxation_of_choice(verdicts, chosen)
    named = {offer.term for offer in tested}
    return tested + tuple(r for r in relaxations(rows, job.budget) if r.term not in named)


def _damage(job: Job, outcome: Outcome, chosen: Trial) -> Damage:
    """Tell what the chosen program lost against the teacher, on the test split."""
    dataset, evidence = job.dataset, outcome.evidence
    return assess(
        Answered(
            goal=dataset.goal,
            labels=dataset.labels,
            names=(outcome.trainees[0].name, chosen.name),
            items=dataset.test.items,
            targets=evidence.targets,
            reference=evidence.teacher_outputs,
            model=evidence.outputs,
        )
    )


def _worst(manifest: Manifest) -> tuple[WorstItem, ...]:
    """Give the worst items, which can be shown where the kind of input is known."""
    if manifest.damage is None or isinstance(manifest.input, OwnSpec):
        return ()
    return manifest.damage.items


def _teacher_summary(outcome: Outcome) -> ModelSummary:
    teacher = outcome.trainees[0]
    evidence = outcome.evidence
    return ModelSummary(
        name=teacher.name,
        scores=scores(evidence.kind, evidence.teacher_outputs, evidence.targets),
        parameters=teacher.parameters,
        flops=teacher.flops,
    )


def _model_summary(outcome: Outcome, chosen: Trial) -> ModelSummary:
    evidence = outcome.evidence
    peaks, measured = evidence.memory_bytes, not evidence.unverified
    return ModelSummary(
        name=chosen.model.name,
        scores=scores(evidence.kind, evidence.outputs, evidence.targets),
        drop=drop(evidence.teacher_scores, evidence.item_scores),
        parameters=chosen.model.parameters,
        flops=chosen.model.flops,
        p50_ms=quantile(evidence.latencies_ms, 0.5) if measured else None,
        p99_ms=quantile(evidence.latencies_ms, 0.99) if measured else None,
        size_bytes=evidence.size_bytes,
        energy=evidence.energy if measured else None,
        cost_usd_per_million=evidence.cost_usd_per_million if measured else None,
        memory_bytes=None if peaks is None else int(memory(evidence).value),
        cold_ms=None if evidence.cold_ms is None else cold(evidence),
        runtime=chosen.program.runtime,
        precision=chosen.program.precision,
    )


def hash_items(inputs: np.ndarray) -> str:
    """Hash the items that were used to calibrate.

    Args:
        inputs: Raw inputs (N, ...).

    Returns:
        The SHA-256 of their bytes.
    """
    return sha256_of_bytes(np.ascontiguousarray(inputs).tobytes())
