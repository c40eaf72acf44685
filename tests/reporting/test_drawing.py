import io
from xml.etree import ElementTree as ET

import altair as alt
import pytest
from PIL import Image

from diptych.reporting.drawing import PAGE, PAPER, PNG_SCALE, short, theme, to_png, to_svg

EVIL = "<script>alert(1)</script>&\"'"


@pytest.fixture(scope="module")
def chart() -> alt.Chart:
    data = alt.Data(values=[{"x": 1, "name": EVIL}, {"x": 2, "name": "plain"}])
    return alt.Chart(data).mark_point().encode(x="x:Q", color="name:N").properties(width=100)


def test_an_svg_is_well_formed_and_holds_no_script_or_address(chart) -> None:
    svg = to_svg(theme(chart, PAGE))
    root = ET.fromstring(svg)
    tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert root.tag.endswith("svg")
    assert not tags & {"script", "image", "a", "foreignObject", "style", "use"}
    assert EVIL in "".join(root.itertext())


def test_a_chart_on_the_page_takes_its_colors_from_the_style_sheet(chart) -> None:
    assert "var(--muted)" in to_svg(theme(chart, PAGE))
    assert "var(" not in to_svg(theme(chart, PAPER))


def test_a_png_has_two_pixels_to_a_point(chart) -> None:
    width = float(ET.fromstring(to_svg(theme(chart, PAPER))).get("width"))
    picture = Image.open(io.BytesIO(to_png(theme(chart, PAPER))))
    assert picture.width == pytest.approx(PNG_SCALE * width, abs=2)
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_long_name_is_cut_with_a_mark() -> None:
    assert short("brief") == "brief"
    assert len(short("x" * 80)) == 34
    assert short("x" * 80).endswith("…")
