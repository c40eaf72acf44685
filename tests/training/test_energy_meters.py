import pytest
import torch

from diptych.training import energy_meters
from diptych.training.energy_meters import gpu_meter_of, processor_meter_of
from diptych.training.team import SOLO, Team

CUDA = torch.device("cuda")


def test_only_the_first_process_of_one_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Team):
        rank, size, local_size = 1, 2, 2

    class Far(Team):
        size, local_size = 4, 2

    assert gpu_meter_of(torch.device("cpu"), SOLO) is None
    assert gpu_meter_of(CUDA, Other()) is None
    assert gpu_meter_of(CUDA, Far()) is None
    opened: list[object] = []
    monkeypatch.setattr(energy_meters, "open_meter", lambda: opened.append(1))
    assert [processor_meter_of(team) for team in (Other(), Far())] == [None, None]
    assert not opened
    processor_meter_of(SOLO)
    assert opened


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_that_computes_uses_energy() -> None:
    pytest.importorskip("pynvml")
    meter = gpu_meter_of(torch.device("cuda:0"), SOLO)
    assert meter is not None
    square = torch.randn(4096, 4096, device="cuda:0")
    for _ in range(200):
        square = (square @ square).tanh()
    torch.cuda.synchronize()
    assert 0 < meter.energy().value_j < 1e4
