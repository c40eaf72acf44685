from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from diptych.compression.answers import recorded
from diptych.compression.distill import distillation
from diptych.training.recorded import RecordedModel


def record() -> RecordedModel:
    answers = {name: np.eye(3, dtype=np.float32) for name in ("train", "validation", "test")}
    return RecordedModel(**answers, seconds=2.0, cpu_seconds=1.0)


def test_what_was_not_counted_is_nothing_and_every_item_has_an_answer() -> None:
    model = record()
    assert (model.samples, model.parameters, model.flops, model.training_flops) == (0, 0, 0, 0)
    assert (model.curve, model.recipe, model.answered) == ((), None, None)
    with pytest.raises(FrozenInstanceError):
        model.seconds = 3.0


def test_recorded_answers_are_what_a_student_is_compared_with() -> None:
    model = record()
    imitation = distillation("classification", recorded(torch.from_numpy(model.train)), 2.0)
    chosen = torch.tensor([2, 0])
    same = torch.from_numpy(model.train)[chosen]
    assert imitation(torch.zeros(2, 1), same, chosen).item() == pytest.approx(0.0, abs=1e-6)
    assert imitation(torch.zeros(2, 1), same.flip(0), chosen).item() > 0.1
