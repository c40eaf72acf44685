"""What the tests of networks for sound share: sounds, and their programs' outputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diptych.core.specs import InputSpec  # noqa: E402  after the check that it is there

SAMPLES = 4096


@pytest.fixture(scope="session")
def sounds() -> "torch.Tensor":
    """Give noise of several loudnesses: int16 (8, 4096)."""
    loudness = np.geomspace(30, 9000, 8)[:, None]
    noise = np.random.default_rng(0).standard_normal((8, SAMPLES)) * loudness
    return torch.from_numpy(noise.clip(-32_768, 32_767).astype(np.int16))


@pytest.fixture(scope="session")
def tones() -> "tuple[torch.Tensor, torch.Tensor]":
    """Give tones of three pitches in noise, int16 (48, 4096), and which pitch it is (48,)."""
    random = np.random.default_rng(0)
    pitch = np.arange(48) % 3
    hz = np.array([400, 900, 2000])[pitch] * random.uniform(0.9, 1.1, 48)
    tone = np.sin(2 * np.pi * hz[:, None] * np.arange(SAMPLES) / 8000) * 4000
    samples = (tone + random.standard_normal(tone.shape) * 400).astype(np.int16)
    return torch.from_numpy(samples), torch.from_numpy(pitch)


@pytest.fixture(scope="session")
def lowered() -> Callable[..., dict[str, np.ndarray]]:
    """Give the function that lowers a network to every program and runs them all."""
    targets = pytest.importorskip("diptych.targets.lower")
    runtimes = pytest.importorskip("diptych.inference.runtimes")

    def run(
        network: "torch.nn.Module", spec: InputSpec, inputs: "torch.Tensor", folder: Path
    ) -> dict[str, np.ndarray]:
        choices = [(r, p) for r in ("onnxruntime", "openvino") for p in ("fp32", "int8")]
        outputs = {}
        for program in targets.lower_all(network, spec.tensor(), choices, inputs.numpy()):
            for name, content in program.contents.items():
                (folder / name).write_bytes(content)
            paths = [folder / name for name in program.contents]
            session = runtimes.open_session(program.runtime, paths)
            outputs[program.name] = session.run(inputs.numpy())
            session.close()
        return outputs

    return run
