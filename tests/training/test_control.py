import torch

from diptych.core.progress import Step
from diptych.core.values import Energy
from diptych.training.control import RunControl
from diptych.training.team import SOLO


def test_a_run_is_alone_on_the_processor_without_limits_unless_it_is_told() -> None:
    control = RunControl()
    assert control.device == torch.device("cpu")
    assert (control.team, control.folder, control.deadline) == (SOLO, None, None)
    assert not control.stop
    assert RunControl().stop is not control.stop


def test_energy_is_read_whenever_progress_is_told() -> None:
    told: list[Step] = []

    class Counter:
        reads = 0

        def energy(self) -> Energy:
            self.reads += 1
            return Energy(value_j=1.0, low_j=1.0, high_j=1.0, label="counter", method="made up")

    counter = Counter()
    control, processors = RunControl(
        report=told.append, processor_meter=lambda team: counter
    ).counting()
    for done in range(3):
        control.report(Step(stage="trees", done=done, total=3))
    assert (counter.reads, [step.done for step in told]) == (3, [0, 1, 2])
    assert processors.energy() == counter.energy()
