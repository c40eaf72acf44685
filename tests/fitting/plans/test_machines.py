import pytest
from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.fitting.plans.machines import fast_arithmetic


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "fp32"),
        (("avx2", "avx512f"), "fp32"),
        (("avx2", "amx_bf16"), "bf16"),
        (("avx512_bf16",), "bf16"),
        (("bf16", "not_amx_bf16"), "fp32"),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    machine: Machine, flags: tuple[str, ...], expected: str
) -> None:
    assert fast_arithmetic(replace(machine, flags=flags)) == expected
