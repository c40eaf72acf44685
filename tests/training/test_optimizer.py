from diptych.training import optimizer, optimizers


def test_the_former_name_leads_to_the_same() -> None:
    assert optimizer.optimizer_of is optimizers.optimizer_of
    assert optimizer.WeightAverage is optimizers.WeightAverage
