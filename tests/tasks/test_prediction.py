import msgspec

from diptych.tasks.prediction import Prediction


def test_a_class_is_written_as_its_label_with_all_scores() -> None:
    answer = Prediction(input="a.png", label="cat", score=0.75, scores={"cat": 0.75, "dog": 0.25})
    assert msgspec.to_builtins(answer) == {
        "input": "a.png",
        "label": "cat",
        "score": 0.75,
        "scores": {"cat": 0.75, "dog": 0.25},
    }


def test_labels_are_written_even_if_there_are_none() -> None:
    answer = Prediction(input="a", scores={"x": 0.1}, labels=())
    assert msgspec.to_builtins(answer) == {"input": "a", "scores": {"x": 0.1}, "labels": ()}


def test_a_number_is_written_as_its_value_even_if_it_is_0() -> None:
    assert msgspec.to_builtins(Prediction(input="a", value=0.0)) == {"input": "a", "value": 0.0}
