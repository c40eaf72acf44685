"""One run while it goes: its plan, its looks at the time and the loss, its checkpoints."""

import time
from functools import partial

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.progress import Step
from diptych.core.seeds import StepSeeds, derive
from diptych.core.values import CurvePoint, Dataset
from diptych.measure.energy import modelled
from diptych.training.control import RunControl
from diptych.training.divergence import Plateau, Watch
from diptych.training.feed import Feed, Feeder
from diptych.training.freezing import Freezing
from diptych.training.objectives import Objective
from diptych.training.optimizers import rate_of
from diptych.training.pace import LOOK_EVERY_S, LOOK_EVERY_STEPS, Pace
from diptych.training.rates import with_rate
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.records import Record, note_of
from diptych.training.resume import capture, go_on, latest, save, with_cuts
from diptych.training.schedule import Progress, momentum_factor, rate_factor, schedule_for
from diptych.training.scoring import validation_score
from diptych.training.stepper import Stepper
from diptych.training.tuning import Tuning

RECORD_EVERY_S = 1.0


class Run:
    """The state of a run; `go` drives it from where it is to its end.

    Args:
        network: What is trained, on the run's device.
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
        self.recipe = recipe if kept else self._found(recipe, objective, steps)
        self.stepper = Stepper(network, self.recipe, objective, self.team, self._say)
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
            self._save_together(last=True)
        elif not self.paused:
            self.save()
        self.stepper.average.keep()

    def close(self) -> None:
        """Stop making batches; whatever was frozen can be trained again."""
        self.feeder.close()
        self.freezing.at(1.0)

    def save(self) -> None:
        """Keep a checkpoint, where there is a folder for it and one process has all weights.

        Weights that are not finite are not kept: the loss of the step before them was sound.
        """
        if self.folder is not None and self.team.rank == 0 and not self.team.is_sharded:
            self._gather()
            if all(bool(weight.isfinite().all()) for weight in self.network.parameters()):
                self.folder.save(capture(self))
        self.saved_at = self.control.clock()

    def _found(self, recipe: TrainingRecipe, objective: Objective, steps: int) -> TrainingRecipe:
        """Return the recipe with the rate and the way of computing that it leaves open."""
        tell = partial(self._go_on, "looking for a learning rate")
        recipe = with_rate(self.network, recipe, objective, self.feed, tell)
        if not self.control.tune or self.team.size > 1:
            return recipe
        self._say("trying how this machine computes fastest")
        return Tuning(self.network, objective, self.feed).tuned(recipe, steps)

    def _save_together(self, *, last: bool = False) -> None:
        """Keep a checkpoint of weights that are spread over the team, when the first one says."""
        late = self.control.clock() - self.kept_at >= self.control.checkpoint_s
        wanted = not self.paused if last else self.control.stop or late
        if self.team.agreed(int(bool(wanted))):
            self._gather()
            save(self)
            self.kept_at = self.control.clock()

    def _step(self) -> None:
        if self.freezing.at(self.progress.share):
            self.stepper.wrap()
        at = (self.progress.share, self.recipe.warmup_share, self.schedule)
        rate = (self.recipe.learning_rate or 0.0) * rate_factor(*at)
        momentum = self.recipe.momentum * momentum_factor(*at)
        self._seed_draws()
        batch = self.feeder.take()
        self.losses.append(self.stepper.take(batch, rate, momentum, self.progress.step))
        self.progress.advance()

    def _seed_draws(self) -> None:
        """Let what the network draws in this step depend on nothing else, the same in a team."""
        seed = self.draws.at(self.progress.step)
        torch.default_generator.manual_seed(seed)  # torch's own function takes 0.1 ms
        if self.control.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _planned(self) -> bool:
        """Look at the time, the loss and the plan; say whether there is a step to take."""
        if self.progress.step and self.progress.remaining:
            self._look()
            if self.team.is_sharded:
                self._save_together()
            wanted = self.team.agreed(self._wanted())
            if wanted != self.progress.remaining:
                self._replan(wanted)
        return self.progress.remaining > 0

    def _wanted(self) -> int:
        """Say how many more steps there should be."""
        step, remaining = self.progress.step, self.progress.remaining
        if self._pauses():
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
        given = self.network, self.dataset, self.recipe, self.team
        with self.stepper.average.applied():
            score = validation_score(*given, partial(self._go_on, "scoring"))
        self.curve.append(self._point(score))
        self.loss_sum, self.loss_count = 0.0, 0
        self._write(self._report(len(self.curve), score))
        self.network.train()
        reason = self.plateau.reason(self.curve)
        if self.team.agreed(int(bool(reason))) and self.progress.remaining:
            self._replan(0)
            self._say(reason)

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
        step, seconds, gpus = self.progress.step, self.seconds, self.gpus.energy()
        energy = self.processors.energy() or modelled(self.cpu_seconds)
        scores = [point.score for point in self.curve if point.score is not None]
        record = Record(
            step=step,
            epoch=epoch,
            samples=step * self.feed.batch_size,
            seconds=seconds,
            loss=sum(self.recent) / len(self.recent) if self.recent else self.curve[-1].loss,
            rate=rate_of(self.stepper.optimizer),
            samples_per_second=step * self.feed.batch_size / seconds if seconds else 0.0,
            waiting_share=self.waited_seconds / seconds if seconds else 0.0,
            score=score,
            energy_j=energy.value_j,
            energy_label=energy.label,
            gpu_energy_j=gpus.value_j if gpus else None,
            gpu_energy_label=gpus.label if gpus else None,
        )
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

    def _say(self, text: str, left: int = 0) -> None:
        """Tell people something; at least so many steps are not done yet."""
        step = self.progress.step
        total = step + max(self.progress.remaining, left)
        self.control.report(Step(stage=self.control.name, done=step, total=total, note=text))
