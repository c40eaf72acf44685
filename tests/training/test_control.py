import torch

from diptych.training.control import RunControl
from diptych.training.team import SOLO


def test_a_run_is_alone_on_the_processor_without_limits_unless_it_is_told() -> None:
    control = RunControl()
    assert control.device == torch.device("cpu")
    assert (control.team, control.folder, control.deadline) == (SOLO, None, None)
    assert not control.stop
    assert RunControl().stop is not control.stop
