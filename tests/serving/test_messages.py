"""Errors as a client sees them."""

import msgspec
import pytest

from diptych.core.errors import DataError
from diptych.serving import messages


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("a", "b"), 400),
        (messages.NotFoundError("a", "b"), 404),
        (messages.TooLargeError("a", "b"), 413),
        (messages.ContentError("a", "b"), 422),
    ],
)
def test_the_kind_of_an_error_decides_the_status(error, status):
    response = messages.failure(error)
    assert response.status == status
    assert msgspec.json.decode(response.body) == {"error": "a", "hint": "b"}


def test_an_error_is_one_line_and_carries_its_headers():
    error = messages.MethodError("two\nlines", "", ((b"allow", b"GET"),))
    response = messages.failure(error)
    assert msgspec.json.decode(response.body)["error"] == "two lines"
    assert response.headers == ((b"allow", b"GET"),)
