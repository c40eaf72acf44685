import pytest
import torch
from pretended_gpu import CPU, GPU, pretended_gpu

from diptych.training.sending import sent


def test_a_tensor_that_is_there_stays_as_it_is() -> None:
    tensor = torch.arange(3)
    assert sent(tensor, CPU) is tensor


def test_a_tensor_is_copied_to_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        tensor = torch.arange(3)
        copied = sent(tensor, GPU)
        assert (copied.device, tensor.device) == (GPU, CPU)
        assert copied.tolist() == [0, 1, 2]
