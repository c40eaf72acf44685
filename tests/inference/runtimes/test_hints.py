from diptych.inference.runtimes.hints import BF16, HINT


def test_the_hint_is_under_openvinos_own_name_for_it() -> None:
    assert HINT[-1] == "INFERENCE_PRECISION_HINT"
    assert BF16 == "bf16"
