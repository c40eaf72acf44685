"""Packages of machine code: compiled, compared, and never part of a bundle."""

import shutil

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import nn

from diptych.core.errors import MissingExtraError, TargetError
from diptych.inference.programs import choose
from diptych.targets import native
from diptych.targets.native import COMPILERS, compile_native
from diptych.targets.parity import check


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C++ compiler")
def test_a_package_computes_what_the_network_computes(trained) -> None:
    content, outputs = compile_native(trained.network, trained.spec, trained.test[:8])
    assert content.startswith(b"PK")
    parity = check(trained.logits(trained.test[:8]), outputs, "fp32")
    assert (parity.flips, parity.n) == (0, 8)


def test_without_a_compiler_it_is_said_what_to_install(trained, monkeypatch) -> None:
    monkeypatch.setattr(native, "COMPILERS", ("no_such_compiler",))
    with pytest.raises(TargetError, match="needs a C") as told:
        compile_native(trained.network, trained.spec, trained.test[:1])
    assert "g++" in told.value.hint


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C++ compiler")
def test_a_network_that_torch_cannot_follow_is_refused(trained) -> None:
    class Choosing(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float() if pixels.float().sum() > 3 else -pixels.float()

    with pytest.raises(TargetError, match="torch cannot compile the network"):
        compile_native(Choosing().eval(), trained.spec, np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize("runtime", ["torch", "aotinductor", "native"])
def test_a_bundle_with_machine_code_is_not_opened(tiny, runtime: str) -> None:
    hostile = structs.replace(tiny.manifest.programs[0], runtime=runtime)
    with pytest.raises(MissingExtraError, match=f"needs the runtime '{runtime}'"):
        choose(structs.replace(tiny.manifest, programs=(hostile,)), None)
