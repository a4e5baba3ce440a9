"""The widget and the player show the same pictures; the player is plain HTML."""

import base64
import re

import ipywidgets
import pytest

from rigl_nb.report.figures import widgets
from rigl_nb.report.figures.style import Picture, png


def draw(height: float, color: str = "C0") -> Picture:
    figure = Picture(2.0)
    figure.subplots().bar(0, height, color=color)
    return figure


def pictures(page: str) -> list[bytes]:
    return [base64.b64decode(code) for code in re.findall(r"data:image/png;base64,([^\"]+)\"", page)]


def shown(picture: ipywidgets.HTML) -> bytes:
    (only,) = pictures(picture.value)
    return only


def parts(box: ipywidgets.VBox) -> dict:
    (bar, picture) = box.children
    previous, following, play, slider, label = bar.children
    return {
        "previous": previous,
        "next": following,
        "play": play,
        "slider": slider,
        "label": label,
        "image": picture,
    }


def test_player_holds_every_frame_in_order():
    page = widgets.stepper([1, 2, 3], draw, interactive=False, labels=["one", "two", "<three>"]).data
    assert pictures(page) == [png(draw(height)) for height in (1, 2, 3)]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["one", "two", "&lt;three&gt;"]
    assert re.findall(r"<figure style=\"margin:0;display:(\w+)\"", page) == ["block", "none", "none"]
    assert 'min="0" max="2"' in page


def test_player_loads_nothing_and_has_no_ids():
    page = widgets.stepper([1, 2], draw, interactive=False).data
    text = re.sub(r"base64,[^\"]+", "", page)
    assert not re.search(r"https?:|//|<link|<script|@import|\bid=|url\(", text)


def test_player_is_the_same_every_time():
    first, second = (widgets.stepper([1, 2], draw, interactive=False).data for _ in range(2))
    assert first == second


def test_widget_redraws_with_slider_and_buttons():
    view = parts(widgets.stepper([1, 2, 3], draw, interactive=True, labels=["one", "two", "three"]))
    assert (shown(view["image"]), view["label"].value) == (png(draw(1)), "one")
    view["slider"].value = 2
    assert (shown(view["image"]), view["label"].value) == (png(draw(3)), "three")
    view["next"].click()  # stays at the end
    assert view["slider"].value == 2
    view["previous"].click()
    assert (shown(view["image"]), view["label"].value) == (png(draw(2)), "two")
    view["play"].value = 0
    assert shown(view["image"]) == png(draw(1))


def test_labels_count_the_frames_unless_given():
    assert "<figcaption>2 of 2</figcaption>" in widgets.stepper([1, 2], draw, interactive=False).data


@pytest.mark.parametrize(
    ("frames", "labels", "message"), [([], None, "no frames"), ([1, 2], ["one"], "1 labels for 2 frames")]
)
def test_bad_frames_are_refused(frames, labels, message):
    with pytest.raises(ValueError, match=message):
        widgets.stepper(frames, draw, False, labels)


def test_a_player_too_large_for_a_notebook_is_refused(monkeypatch):
    monkeypatch.setattr(widgets, "LIMIT", 5_000)
    with pytest.raises(ValueError, match="5,000 are allowed"):
        widgets.stepper([1, 2, 3], draw, interactive=False)


def test_controls_redraw_with_the_chosen_values():
    menus, picture = widgets.controls(draw, interactive=True, height=[1, 2], color=["C0", "C1"]).children
    assert [menu.description for menu in menus.children] == ["height", "color"]
    assert shown(picture) == png(draw(1, "C0"))
    menus.children[1].value = "C1"
    menus.children[0].value = 2
    assert shown(picture) == png(draw(2, "C1"))


def test_controls_without_a_kernel_play_every_combination():
    page = widgets.controls(draw, interactive=False, height=[1, 2], color=["C0", "C1"]).data
    assert pictures(page) == [png(draw(height, color)) for height in (1, 2) for color in ("C0", "C1")]
    assert "<figcaption>height = 2, color = C0</figcaption>" in page
