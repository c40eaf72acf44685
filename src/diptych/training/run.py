"""One run while it goes: its plan, its looks at the time and the loss, its checkpoints."""

import time
from functools import partial

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.progress import Step
from diptych.core.seeds import StepSeeds, derive
from diptych.core.values import CurvePoint, Dataset
from diptych.training.control import RunControl
from diptych.training.divergence import Plateau, Watch
from diptych.training.feed import Feed, Feeder
from diptych.training.freezing import Freezing
from diptych.training.objectives import Objective
from diptych.training.pace import LOOK_EVERY_S, LOOK_EVERY_STEPS, Pace
from diptych.training.rates import Bounds, with_rate
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.records import Record, note_of
from diptych.training.recount import Recount
from diptych.training.resume import begin, capture, go_on, is_sound, latest, save, with_cuts
from diptych.training.schedule import Progress, momentum_factor, rate_factor, schedule_for
from diptych.training.scoring import validation_score
from diptych.training.standing import record_of
from diptych.training.stepper import Stepper
from diptych.training.tuning import Tuning, compilable

RECORD_EVERY_S = 1.0


class Run:
    """The state of a run; `go` drives it from where it is to its end.

    Args:
        network: What is trained, on the run's device, or on the processor where a team shares it.
        dataset: What is learned.
        recipe: How.
        objective: The loss.
        control: Name, seed, device, deadline, folder, progress and stop request.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: TrainingRecipe,
        objective: Objective,
        control: RunControl,
    ) -> None:
        self.network, self.dataset, self.control = network, dataset, control
        self.planned = recipe
        self.team, self.folder = control.team, control.folder
        self.draws = StepSeeds(control.seed, control.name, "network")
        seed = derive(control.seed, control.name, "batches")
        kept = latest(self.folder, self.team)
        recipe = with_cuts(kept.position.recipe if kept else recipe, kept, self.team)
        self.feed = Feed(dataset.train.inputs, recipe, seed, control.device, self.team)
        steps = max(1, round(recipe.epochs * self.feed.steps_per_epoch))
        self.progress, self.paused, self.looked_at = Progress(steps), False, control.clock()
        self.seconds_before = self.cpu_before = self.waited_before = 0.0
        self.started, self.cpu_started = control.clock(), time.process_time()
        self.processors, self.gpus = control.counted()
        recipe = compilable(network, recipe, self.team, self._announce)
        self.recipe = recipe if kept else self._found(recipe, objective, steps)
        self.stepper = Stepper(network, self.recipe, objective, self.team, self._announce)
        seeds = StepSeeds(control.seed, control.name, "recount")
        tell = partial(self._go_on, "counting what batch norms see")
        self.recount = Recount(self.stepper, self.feed, seeds, tell)
        self.freezing = Freezing(network, recipe.freeze_share, control.fresh)
        self.schedule = schedule_for(recipe.optimizer, recipe.schedule)
        self.pace = Pace(self.progress.remaining)
        self.replans: list[Replan] = []
        self.curve: list[CurvePoint] = []
        self.losses: list[Tensor] = []
        self.recent: list[float] = []
        self.loss_sum, self.loss_count = 0.0, 0
        self.watch = Watch(control.name)
        self.plateau = Plateau(recipe.patience, recipe.target_score)
        if kept:
            go_on(self, kept)
        else:
            begin(self)
        self.saved_at = self.kept_at = self.recorded_at = control.clock()
        self.feeder = Feeder(self.feed, self.progress.step)

    @property
    def seconds(self) -> float:
        """The seconds of training so far, of earlier parts too."""
        return self.seconds_before + self.control.clock() - self.started

    @property
    def cpu_seconds(self) -> float:
        """The processor's seconds so far, of earlier parts too; times the processes of a team."""
        return self.cpu_before + self.team.size * (time.process_time() - self.cpu_started)

    @property
    def waited_seconds(self) -> float:
        """The seconds so far in which there was no batch to compute with."""
        return self.waited_before + self.feeder.waited

    def recipe_so_far(self) -> TrainingRecipe:
        """Give the recipe as the run really was.

        Returns:
            With the rate that was found, the plans that were changed and the batches that were cut.
        """
        cuts = tuple(self.stepper.cuts)
        return replace(self.recipe, replans=tuple(self.replans), cuts=cuts)

    def go(self) -> None:
        """Take all steps; at the end the network has the weights to keep."""
        torch.set_num_threads(self.team.threads(self.recipe.threads))
        self.network.train()
        while self._planned():
            self._step()
            if self.progress.step % self.feed.steps_per_epoch == 0:
                self._end_epoch()
        if self.losses or self.loss_count:
            self._end_epoch()
        if self.team.is_sharded:
            self._save_together(not self.paused)
        elif not self.paused:
            self.save()
        self.stepper.average.keep()
        self.recount.keep(self.progress.step)

    def close(self) -> None:
        """Stop making batches; whatever was frozen can be trained again."""
        self.feeder.close()
        self.freezing.at(1.0)

    def save(self) -> None:
        """Keep a checkpoint, where there is a folder for it and one process has all weights."""
        if self.folder is not None and self.team.rank == 0 and not self.team.is_sharded:
            self._gather()
            if is_sound(self):
                self.folder.save(capture(self))
        self.saved_at = self.control.clock()

    def _found(self, recipe: TrainingRecipe, objective: Objective, steps: int) -> TrainingRecipe:
        """Return the recipe with the rate and the way of computing that it leaves open."""
        control, tell = self.control, partial(self._go_on, "looking for a learning rate")
        bounds = Bounds(
            planned=steps, deadline=control.deadline, clock=control.clock, stop=control.stop
        )
        recipe = with_rate(self.network, recipe, objective, self.feed, bounds, tell)
        if recipe.learning_rate is None:
            self._say("no learning rate was found yet: nothing is learned")
            return recipe
        if not control.tune or self.team.size > 1:
            return recipe
        self._say("trying how this machine computes fastest")
        return Tuning(self.network, objective, self.feed).tuned(recipe, steps)

    def _save_together(self, wanted: bool) -> None:
        """Keep a checkpoint of weights that are spread over the team, when the first one says."""
        if self.team.agreed(int(wanted)):
            self._gather()
            if is_sound(self):
                save(self)
            self.kept_at = self.control.clock()

    def _step(self) -> None:
        if self.freezing.at(self.progress.share):
            self.stepper.wrap()
        at = (self.progress.share, self.recipe.warmup_share, self.schedule)
        rate = (self.recipe.learning_rate or 0.0) * rate_factor(*at)
        momentum = self.recipe.momentum * momentum_factor(*at)
        batch, step = self.feeder.take(), self.progress.step
        self.losses.append(self.stepper.take(batch, rate, momentum, step, self.draws.at(step)))
        self.progress.advance()

    def _planned(self) -> bool:
        """Look at the time, the loss and the plan; say whether there is a step to take."""
        if self.progress.step and self.progress.remaining:
            self._look()
            pauses = self._pauses()  # asked once: a stop between saving and ending would lose steps
            if self.team.is_sharded:
                late = self.control.clock() - self.kept_at >= self.control.checkpoint_s
                self._save_together(pauses or late)
            wanted = self.team.agreed(self._wanted(pauses))
            if wanted != self.progress.remaining:
                self._replan(wanted)
        return self.progress.remaining > 0

    def _wanted(self, pauses: bool) -> int:
        """Say how many more steps there should be."""
        step, remaining = self.progress.step, self.progress.remaining
        if pauses:
            self.save()
            self.paused = True
            return 0
        if self.control.deadline is not None:
            now = self.control.clock()
            return self.pace.affordable(step, remaining, now, self.control.deadline)
        planned = [p.remaining for p in self.recipe.replans if p.step == step]
        return planned[-1] if planned else remaining

    def _pauses(self) -> bool:
        """Say whether the run ends before it is over."""
        after = self.control.pause_after
        return bool(self.control.stop) or (after is not None and len(self.curve) >= after)

    def _replan(self, remaining: int) -> None:
        self.replans.append(Replan(step=self.progress.step, remaining=remaining))
        self.progress.replan(remaining)

    def _look(self) -> None:
        """Every few steps or seconds: see whether the loss is sound, tell people, keep a state."""
        now, step = self.control.clock(), self.progress.step
        due = step == 1 or step % LOOK_EVERY_STEPS == 0
        if not due and now - self.looked_at < LOOK_EVERY_S:
            return
        self.looked_at = now
        self._gather()
        if self.recent:
            record = self._report(len(self.curve) + 1)
            if now - self.recorded_at >= RECORD_EVERY_S:
                self._write(record)
        if now - self.saved_at >= self.control.checkpoint_s:
            self.save()

    def _gather(self) -> None:
        """Fetch the losses of the steps since the last time, and judge them."""
        if not self.losses:
            return
        values = torch.stack(self.losses).tolist()
        self.losses.clear()
        self.watch.look(self.progress.step, sum(values) / len(values))
        for value in values:
            self.loss_sum += value
        self.loss_count += len(values)
        self.recent += values

    def _end_epoch(self) -> None:
        """Score the network, and see whether that is enough."""
        self._gather()
        score = self._score() if len(self.dataset.validation) else None
        self.curve.append(self._point(score))
        self.loss_sum, self.loss_count = 0.0, 0
        self._write(self._report(len(self.curve), score))
        self.network.train()
        reason = self.plateau.reason(self.curve)
        if self.team.agreed(int(bool(reason))) and self.progress.remaining:
            self._replan(0)
            self._say(reason)

    def _score(self) -> float | None:
        """Score the network as it would be kept."""
        given = self.network, self.dataset, self.recipe, self.team
        with self.stepper.average.applied(), self.recount.applied(self.progress.step):
            return validation_score(*given, partial(self._go_on, "scoring"))

    def _point(self, score: float | None) -> CurvePoint:
        loss_sum, loss_count = self.team.summed([self.loss_sum, self.loss_count])
        return CurvePoint(
            model=self.control.name,
            epoch=len(self.curve) + 1,
            seconds=self.seconds,
            loss=loss_sum / loss_count,
            score=score,
        )

    def _report(self, epoch: int, score: float | None = None) -> Record:
        """Tell people how the run stands."""
        scores = [point.score for point in self.curve if point.score is not None]
        record = record_of(self, epoch, score)
        shown = record if score is not None or not scores else replace(record, score=scores[-1])
        self._say(note_of(shown))
        return record

    def _write(self, record: Record) -> None:
        if self.folder is not None and self.team.rank == 0:
            self.folder.records.write(record)
        self.recorded_at = self.control.clock()
        self.recent.clear()

    def _go_on(self, text: str) -> None:
        """Say what is done beside steps, where it takes a while."""
        if self.control.clock() - self.looked_at >= LOOK_EVERY_S:
            self.looked_at = self.control.clock()
            self._say(text, left=1)

    def _announce(self, text: str) -> None:
        """Tell people, in a line of its own, that the run is not as the recipe says."""
        stage = f"{self.control.name}, as it is trained"
        self.control.report(Step(stage=stage, done=1, total=1, note=text))

    def _say(self, text: str, left: int = 0) -> None:
        """Tell people something; at least so many steps are not done yet."""
        step = self.progress.step
        total = step + max(self.progress.remaining, left)
        self.control.report(Step(stage=self.control.name, done=step, total=total, note=text))
