import pytest
import torch
from pretended_gpu import CPU, GPU, GpuGenerator, pretended_gpu

from diptych.training.sending import generator_on, sent


def test_a_tensor_that_is_there_stays_as_it_is() -> None:
    tensor = torch.arange(3)
    assert sent(tensor, CPU) is tensor


def test_a_tensor_is_copied_to_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        tensor = torch.arange(3)
        copied = sent(tensor, GPU)
        assert (copied.device, tensor.device) == (GPU, CPU)
        assert copied.tolist() == [0, 1, 2]


def test_on_the_processor_a_stream_goes_on() -> None:
    generator = torch.Generator()
    assert generator_on(CPU, generator) is generator


def test_elsewhere_a_stream_has_its_seed_from_that_on_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pretended_gpu(monkeypatch):
        stream = torch.Generator().manual_seed(3)
        there = [generator_on(GPU, stream), generator_on(GPU, stream)]
        again = generator_on(GPU, torch.Generator().manual_seed(3))
    assert all(isinstance(each, GpuGenerator) for each in there)
    first, second = (each.initial_seed() for each in there)
    assert first != second
    assert again.initial_seed() == first
