from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.budget import Budget
from diptych.fitting.plans.shapes import costliest_first, within_size

SHAPES = st.dictionaries(st.text(min_size=1), st.integers(1, 999), min_size=1)


@given(SHAPES)
def test_shapes_are_ordered_by_what_they_cost(shapes: dict[str, int]) -> None:
    ordered = costliest_first(shapes, lambda shape: shape % 10)
    assert ordered == shapes
    costs = [shape % 10 for shape in ordered.values()]
    assert costs == sorted(costs, reverse=True)


@given(SHAPES, st.integers(1, 999))
def test_those_of_an_allowed_size_are_left_or_the_smallest(
    shapes: dict[str, int], limit: int
) -> None:
    left = within_size(shapes, float, Budget.parse(f"size<={limit}B"))
    allowed = [name for name, shape in shapes.items() if shape <= limit]
    assert list(left) == allowed or (not allowed and list(left.values()) == [min(shapes.values())])
    assert within_size(shapes, float, Budget()) == shapes
