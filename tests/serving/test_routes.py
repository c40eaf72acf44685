"""The table of paths."""

import pytest

from diptych.serving.messages import MethodError, NotFoundError, Response
from diptych.serving.routes import find, make_routes


@pytest.fixture
def two(bundle):
    return make_routes({"one": bundle, "two": bundle}, lambda: Response(body=b""))


def test_each_model_has_the_same_paths(two):
    for name in ("one", "two"):
        assert find(two, "POST", f"/v1/{name}/predict")
        for root in (f"/v2/models/{name}", f"/v2/models/{name}/versions/1"):
            assert find(two, "GET", root)
            assert find(two, "GET", f"{root}/ready")
            assert find(two, "POST", f"{root}/infer")


def test_the_short_path_is_there_for_one_model_only(two, bundle):
    with pytest.raises(NotFoundError):
        find(two, "POST", "/predict")
    assert find(make_routes({"one": bundle}, lambda: Response(body=b"")), "POST", "/predict")


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_the_root_is_the_page(two, path):
    assert find(two, "GET", path).path == "/"


def test_head_is_allowed_where_get_is(two):
    assert find(two, "HEAD", "/metrics").method == "GET"
    with pytest.raises(MethodError):
        find(two, "HEAD", "/v1/one/predict")
