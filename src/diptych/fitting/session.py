"""One fit while it runs: models trained so far, programs tried, time left."""

from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from diptych.core.values import Candidate
from diptych.fitting.ahead import Ahead, in_search
from diptych.fitting.allowance import Allowance
from diptych.fitting.assembly import write_bundle
from diptych.fitting.calibration import calibration_items
from diptych.fitting.cascading import try_cascade
from diptych.fitting.choice import choose
from diptych.fitting.contest import Contest, capacities, settled
from diptych.fitting.cores import try_on_all_cores
from diptych.fitting.descent import go_down, search_below
from diptych.fitting.finishing import finish_fit
from diptych.fitting.job import Job
from diptych.fitting.lowering import lower_and_try
from diptych.fitting.optional import optional
from diptych.fitting.probing import Probe, choose_students, prober
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.pruned_cost import can_pay
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.refining import Refining, refine
from diptych.fitting.search import Search
from diptych.fitting.second_look import try_second_look
from diptych.fitting.settings import Settings
from diptych.fitting.stock import take_stock
from diptych.fitting.teachers import check_acquainted
from diptych.fitting.timetable import LEAST_TRAINING_S, TIMING_S, Timetable
from diptych.fitting.trainee import Trainee
from diptych.fitting.trainer import Trainer
from diptych.fitting.trials import Trial
from diptych.targets import LATER, Method
from diptych.targets.calibration import MIN_ITEMS
from diptych.targets.loading import load_libraries

QUICK = [ProgramPlan(runtime="onnxruntime", precision="fp32")]


class FitSession:
    """Trains, lowers, tries and writes; the only place of a fit that changes.

    Args:
        job: Data, budget, machine and destination.
        recipe: What to do.
        deadline: When to be done, in seconds of the settings' clock; None for no limit.
        settings: Clock, progress, stop request.
    """

    def __init__(
        self, job: Job, recipe: FitRecipe, deadline: float | None, settings: Settings
    ) -> None:
        self.job, self.recipe, self.settings = job, recipe, settings
        self.trainer = Trainer(job, recipe, settings, timed=deadline is not None)
        self.ahead = Ahead(self.trainer)
        self.refined, self.untrained = list[Trainee](), tuple[str, ...]()
        self.trials: list[Trial] = []
        self.teacher_outputs: dict[str, np.ndarray] = {}
        self.candidates: tuple[Candidate, ...] = ()
        self.search: Search | None = None
        self.measure, self.contest = capacities(job.dataset), Contest()
        self.noise: float | None = None
        self.calibration = calibration_items(
            job.dataset, recipe.calibration_items, recipe.seed, settings.report
        )
        self.time = Timetable(
            deadline,
            settings.clock,
            students=recipe.most_students or len(recipe.students),
            refined=bool(self._programs(*LATER)),
        )

    def choose_students(self) -> None:
        """Leave only those students in the recipe that are to be trained."""
        self.recipe = choose_students(
            self.recipe,
            self.job.budget,
            self._probe(),
            lambda: self.time.may_probe() and not self.settings.stop,
            self.measure if self.time.deadline is None else None,
        )

    def hold_contest(self) -> None:
        """Of students that may cost the same leave only the one that learns best."""
        plans = [plan for plan in self.recipe.students if plan.prune is None]
        if self.recipe.most_students == 1 < len(plans):
            given, best = (plans, self._train_to, self.has_time, self.settings.report), plans[0]
            with self._optional("contest"):
                best = self.contest.hold(*given)
            self.recipe = settled(self.recipe, best, self.measure, self.contest.failed)

    def train_teacher(self) -> None:
        """Train the teacher, try its programs and write the first bundle."""
        students = len(self.recipe.students)
        teacher = self.trainer.train(self.recipe.teacher, self.time.teacher_s(students))
        self.teacher_outputs = teacher.all_outputs(self.job.dataset, self.settings.report)
        if self.recipe.teacher.kept:
            check_acquainted(self.job, self.teacher_outputs["validation"], self.settings.report)
        if teacher.network is not None:
            self._try(teacher)
            if not students or self.settings.compress:
                self._refine(teacher, None)

    def train_student(self, plan: ModelPlan) -> None:
        """Train a student of the teacher, try its programs and write the best bundle so far.

        Args:
            plan: The student; where it cannot be pruned as planned, there is none.
        """
        if plan.name in self.contest.failed:
            return
        left = max(1, 1 + len(self.recipe.students) - len(self.trainer.trainees))
        self.ahead.come_to(plan, self.recipe.students, self.time, left)
        seconds = self.time.student_s(left)
        student: Trainee | None = None
        with self._optional(plan.name):
            train = self.trainer.train if plan.prune is None else self._prune
            student = train(plan, seconds)
        if student is not None:
            self._try(student)
            self._refine(student, self.trainer.teacher)

    def find_cheaper(self) -> None:
        """Where a student costs too much, or one keeps the budget, try those that cost less."""
        go_down(self, self._probe())
        search_below(self, self._train_to)

    def try_cascade(self) -> None:
        """Where no student keeps the budget, try cascades, second looks and all cores."""
        best, teacher = choose(self.candidates, self.job.budget), self.trainer.trainees[0]
        if self.settings.stop or (best.meets_budget and best.model != teacher.name):
            return
        given = (self.trials, self.candidates, self.allowance(), self.settings.report, teacher)
        found = [each for each in (try_cascade(*given), try_second_look(*given)) if each]
        if not self.time.is_late:
            found += try_on_all_cores(self.trials, self.candidates, self.job, self.settings)
        if found:
            self.trials += found
            self._write_so_far()

    def has_time(self, plan: ModelPlan | None = None) -> bool:
        """Say whether another model can be trained, lowered and tried.

        Args:
            plan: Which, if that is known.

        Returns:
            True too where there is no program yet, or this one is done, however late it is.

        Raises:
            KeyboardInterrupt: If a person stopped it before there was anything to keep.
        """
        if self.settings.stop and not self.trials:
            raise KeyboardInterrupt
        if self.settings.stop:
            return False
        if not self.trials or self.time.training_s(1) > LEAST_TRAINING_S:
            return True
        return plan is not None and self.is_done(plan)

    def is_done(self, plan: ModelPlan) -> bool:
        """Say whether a student was trained to the end before, if a fit goes on.

        Args:
            plan: The student.

        Returns:
            False too where it would be trained otherwise now.
        """
        fit = self.job.fit
        return fit is not None and fit.is_done(plan, self.trainer.planned_teacher)

    def finish(self) -> None:
        """Measure the choice at length and in new processes, and write the final bundle."""
        finish_fit(self)

    def allowance(self) -> Allowance:
        """Say what may be lost, by the validation split."""
        outputs = self.teacher_outputs["validation"]
        return Allowance(budget=self.job.budget, dataset=self.job.dataset, teacher_outputs=outputs)

    def _train_to(self, plan: ModelPlan, epochs: int) -> Trainee:
        """Train a student of the search for a part, as the next ones are meanwhile."""
        seconds = self.time.training_s(1)
        if self.search:
            turns = self.search.turns[self.search.turns.index(plan) :]
            self.ahead.start([in_search(each, self.search.aim, seconds) for each in turns])
        self.ahead.wait(plan.name)
        return self.trainer.train_to(plan, epochs, self.time.training_s(1))

    def _prune(self, plan: ModelPlan, seconds: float) -> Trainee | None:
        """Prune a model that can be lowered and train what is left, if that can keep the budget."""
        self.ahead.halt()
        control = self.trainer.control(plan.name, seconds, None)
        models, source = self.trainer.trainees, self.recipe.source_of(plan).name
        if source not in {trial.model.name for trial in self.trials}:
            control.warn(f"there is no program of {source}, so nothing is pruned from it")
            return None
        if not can_pay(plan, self.recipe, models, self.job, self._probe(), control):
            return None
        return self.trainer.prune(plan, source, seconds)

    def _probe(self) -> Probe:
        """Make what tells the costs of planned networks."""
        programs, seed = self._programs("calibrated") or QUICK, self.recipe.seed
        return prober(self.job.dataset, programs, self.calibration, seed, self.settings.report)

    def _try(self, model: Trainee) -> None:
        self.ahead.halt()
        few = 1 if self.settings.stop or self.time.is_late else None
        plans = (self._programs("calibrated") or QUICK)[:few]
        load_libraries({plan.runtime for plan in plans if plan.precision == "int8"})
        started = self.settings.clock()
        given = (self.job.dataset, self.calibration, self.settings.report)
        self.trials += lower_and_try(model, plans, *given, alone=not self.recipe.students)
        if not self.trials:
            return
        self._write_so_far()
        self.time.lowering_s = self.settings.clock() - started

    def _refine(self, model: Trainee, teacher: Trainee | None) -> None:
        """Save what a model lost in 8 bits, where that is too much and there is time for it."""
        programs = self._programs(*LATER)
        late = self.time.deadline is not None and not self.time.refining_s
        if self.settings.stop or not programs or late:
            return
        control = self.trainer.control(f"{model.name} int8", self.time.refining_s, None)
        refining = Refining(
            programs=programs,
            allowance=self.allowance(),
            calibration=self.calibration,
            control=replace(control, tune=False),
        )
        trials = [trial for trial in self.trials if trial.model is model]
        with self._optional(control.name):
            refined = refine(model, teacher, trials, refining)
            self.refined += refined.trainees
            self.trials += refined.trials
            if refined.trials:
                self._write_so_far()

    def _optional(self, name: str) -> AbstractContextManager[None]:
        return optional(name, bool(self.trials), self.settings.report)

    def _write_so_far(self) -> None:
        """Write the best bundle so far; without a time limit slow programs are timed for longer."""
        times = 1 if self.time.deadline is not None else len(self.trials)
        write_bundle(self.job, take_stock(self, times * TIMING_S))

    def _programs(self, *methods: Method) -> list[ProgramPlan]:
        """List the planned programs of some kinds, without int8 if there is too little for it."""
        able = len(self.calibration) >= MIN_ITEMS
        planned = [plan for plan in self.recipe.programs if plan.method in methods]
        return [plan for plan in planned if able or plan.precision != "int8"]
