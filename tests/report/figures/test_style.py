"""Colours and markers stay distinct, and the picture's bytes stay the same."""

import io
from xml.etree import ElementTree

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from rigl_nb.methods import METHODS
from rigl_nb.report.figures.style import METHOD_STYLE, OTHER_METHOD, Picture, method_style, png, svg


def test_every_method_has_a_colour_and_a_marker_of_its_own():
    styles = [*METHOD_STYLE.values(), OTHER_METHOD]
    assert len({style["color"] for style in styles}) == len({style["marker"] for style in styles}) == len(styles)
    assert {"Dense", "Small-Dense", "Static", "SET", "RigL"} <= set(METHODS) & set(METHOD_STYLE)


def test_every_colour_can_be_seen_on_white():
    """Contrast of lines and markers with the paper; yellow as Okabe and Ito have it would be 1.3."""
    for method, style in METHOD_STYLE.items():
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(style["color"])]
        assert 1.05 / (np.dot((0.2126, 0.7152, 0.0722), linear) + 0.05) > 2.2, method


def test_an_unknown_method_gets_the_neutral_style():
    assert method_style("mine") == OTHER_METHOD
    assert method_style("RigL") == METHOD_STYLE["RigL"]


def dots() -> Picture:
    """One small marker for each method, in a figure that is mostly something else."""
    figure = Picture(2.0)
    axis = figure.subplots()
    axis.imshow(np.linspace(0, 1, 300).reshape(1, -1), cmap="viridis", extent=(0, 11, 2, 9), aspect="auto")
    for place, style in enumerate(METHOD_STYLE.values()):
        axis.plot(place + 0.5, 1, "o", markersize=4, color=style["color"])
    axis.set_ylim(0, 9)
    return figure


def test_png_is_the_same_every_time_and_carries_no_metadata():
    assert png(dots()) == png(dots())
    assert Image.open(io.BytesIO(png(dots()))).info.keys() <= {"dpi"}


def test_png_keeps_the_methods_colours():
    pixels = np.asarray(Image.open(io.BytesIO(png(dots()))).convert("RGB"), int).reshape(-1, 3)
    for style in METHOD_STYLE.values():
        wanted = np.array(to_rgb(style["color"])) * 255
        assert np.abs(pixels - wanted).sum(1).min() <= 6, style


def test_a_notebook_shows_the_picture_itself():
    figure = Picture(2.0)
    assert figure._repr_svg_() == svg(figure) and figure._repr_png_() == png(figure)
    assert Image.open(io.BytesIO(figure._repr_png_())).size == (840, 240)
    assert ElementTree.fromstring(svg(figure)).get("viewBox") == "0 0 504 144"  # points


def test_svg_is_the_same_every_time_and_carries_no_date():
    assert svg(dots()) == svg(dots())
    assert "date" not in svg(dots()) and "<text" not in svg(dots())


def test_svg_keeps_the_methods_colours():
    assert all(style["color"].lower() in svg(dots()).lower() for style in METHOD_STYLE.values())
