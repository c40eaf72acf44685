import numpy as np
import pytest

from diptych.reporting.passages import BATCH, MOST_TOKENS, Piece, changes, marked


def linear(weights: np.ndarray):
    """Give a model that adds up a weight (V, K) per token, and the sizes of its batches."""
    sizes = []

    def run(tokens: np.ndarray) -> np.ndarray:
        sizes.append(len(tokens))
        return weights[tokens].sum(axis=1).astype(np.float32)

    return run, sizes


def test_of_a_model_that_adds_up_each_token_loses_its_own_weight() -> None:
    weights = np.random.default_rng(0).normal(size=(9, 1))
    weights[:2] = 0
    run, _ = linear(weights)
    tokens = np.array([5, 7, 2, 5, 0, 0], np.int32)
    assert changes(run, tokens, "regression") == pytest.approx(weights[[5, 7, 2, 5], 0], abs=1e-6)


def test_of_two_classes_the_change_is_that_of_the_log_odds() -> None:
    weights = np.random.default_rng(1).normal(size=(9, 2))
    weights[:2] = 0
    run, _ = linear(weights)
    tokens = np.array([3, 8, 4, 0], np.int32)
    answer = weights[[3, 8, 4]].sum(axis=0).argmax()
    expected = weights[[3, 8, 4], answer] - weights[[3, 8, 4], 1 - answer]
    for goal in ("classification", "ordinal"):
        assert changes(run, tokens, goal) == pytest.approx(expected, abs=1e-5)


def test_of_several_labels_it_is_that_of_the_likeliest() -> None:
    weights = np.zeros((4, 3))
    weights[2], weights[3] = [1, 5, 0], [2, -1, 0]
    run, _ = linear(weights)
    assert changes(run, np.array([2, 3], np.int32), "multi-label").tolist() == [5, -1]


def test_long_texts_run_in_batches_and_to_a_limit() -> None:
    run, sizes = linear(np.ones((3, 1)))
    assert len(changes(run, np.full(500, 2, np.int32), "regression")) == MOST_TOKENS
    assert max(sizes) <= BATCH
    assert sum(sizes) == MOST_TOKENS + 1


def test_the_strongest_piece_has_the_strongest_mark_whatever_the_unit() -> None:
    pieces = ("a", " b", " c")
    for scale in (1e-6, 1e6):
        marks = marked(pieces, scale * np.array([1.0, -0.5, 0.01]), "regression")
        assert [one.level for one in marks] == [4, -2, 0]


def test_noise_in_log_odds_is_not_marked() -> None:
    marks = marked(("a", " b"), np.array([1e-3, -1e-3]), "classification")
    assert [one.level for one in marks] == [0, 0]


def test_without_changes_nothing_is_marked() -> None:
    assert marked(("a", " b"), None, "classification") == (Piece(text="a"), Piece(text=" b"))
    assert marked((), None, "classification") == ()
    assert marked((), np.array([]), "classification") == ()


def test_a_long_text_says_that_it_goes_on() -> None:
    marks = marked(["x"] * (MOST_TOKENS + 1), np.ones(MOST_TOKENS), "regression")
    assert len(marks) == MOST_TOKENS + 1
    assert marks[-1] == Piece(text=" …")


def test_the_space_before_a_word_stands_alone() -> None:
    assert Piece(text=" word").space == " "
    assert Piece(text="word").space == ""
