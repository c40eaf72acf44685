"""The counts, against a naive count of the same requests."""

import re

from hypothesis import given
from hypothesis import strategies as st

from diptych.serving.metrics import BUCKETS_S, Metrics

records = st.lists(
    st.tuples(
        st.sampled_from(["/a", "/b"]), st.sampled_from([200, 404]), st.floats(0, 20, width=32)
    ),
    max_size=30,
)
SAMPLE = re.compile(r"(\w+)\{route=\"([^\"]+)\"(?:,(?:le|status)=\"([^\"]+)\")?\} (\S+)")


@given(records)
def test_the_counts_are_those_of_a_naive_count(recorded):
    metrics = Metrics()
    for record in recorded:
        metrics.record(*record)
    lines = metrics.response().body.decode().splitlines()
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, route, detail, value = SAMPLE.fullmatch(line).groups()
            found[name, route, detail] = float(value)
    for route, status, _ in recorded:
        expected = sum(1 for r, s, _ in recorded if (r, s) == (route, status))
        assert found["diptych_requests_total", route, str(status)] == expected
    for route in {route for route, _, _ in recorded}:
        seconds = [s for r, _, s in recorded if r == route]
        assert found["diptych_request_seconds_count", route, None] == len(seconds)
        assert found["diptych_request_seconds_bucket", route, "+Inf"] == len(seconds)
        for limit in BUCKETS_S:
            below = sum(s <= limit for s in seconds)
            assert found["diptych_request_seconds_bucket", route, str(limit)] == below


def test_the_kind_of_text_is_named():
    response = Metrics().response()
    assert b"version=0.0.4" in response.media
    assert response.body.endswith(b"\n")
