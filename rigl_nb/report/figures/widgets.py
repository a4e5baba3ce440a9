"""Interactive views in JupyterLab; where no kernel runs, the same pictures as a player in plain HTML.

Both call the same pure `draw`. The player loads nothing from the network and has no ids, so equal pictures
give equal bytes.
"""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import ipywidgets
from IPython.display import HTML
from matplotlib.figure import Figure

from rigl_nb.report.figures.style import png

LIMIT = 700_000  # characters of one player: a notebook stays under 1 MB

Draw = Callable[..., Figure | HTML]


def stepper(
    frames: Sequence, draw: Draw, interactive: bool, labels: Sequence[str] | None = None
) -> ipywidgets.VBox | HTML:
    """Step through `frames`, each drawn by `draw(frame)`, with a slider, previous, next and play.

    `interactive`: a widget that draws on demand; else a player that holds every picture. ValueError: no
    frame, labels that do not fit, or a player too large for a notebook.
    """
    if not frames:
        raise ValueError("no frames to step through: give at least one")
    labels = [f"{place} of {len(frames)}" for place in range(1, len(frames) + 1)] if labels is None else labels
    if len(labels) != len(frames):
        raise ValueError(f"{len(labels)} labels for {len(frames)} frames: give one for each")
    return _widget(frames, draw, labels) if interactive else _player([draw(f) for f in frames], labels)


def controls(draw: Draw, interactive: bool, **choices: Sequence[Any]) -> ipywidgets.VBox | HTML:
    """Choose the arguments of `draw` from lists: `controls(draw, interactive, method=["SET", "RigL"])`.

    `interactive`: one menu for each argument; else a player with every combination.
    """
    if not interactive:
        combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
        return stepper(combinations, lambda chosen: draw(**chosen), False, list(map(_words, combinations)))
    menus = {name: ipywidgets.Dropdown(options=list(values), description=name) for name, values in choices.items()}
    picture = ipywidgets.HTML()

    def redraw(_change=None):
        chosen = {name: menu.value for name, menu in menus.items()}
        picture.value = markup(draw(**chosen), _words(chosen))

    for menu in menus.values():
        menu.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([ipywidgets.HBox(list(menus.values())), picture])


def _words(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in chosen.items())


def markup(drawn: Figure | HTML, alt: str) -> str:
    """A drawing as HTML; a figure as an image, which every viewer shows."""
    if isinstance(drawn, HTML):
        return drawn.data
    code = base64.b64encode(png(drawn)).decode()
    return f'<img alt="{html.escape(alt)}" style="max-width:100%" src="data:image/png;base64,{code}">'


def _widget(frames: Sequence, draw: Draw, labels: Sequence[str]) -> ipywidgets.VBox:
    last = len(frames) - 1
    slider = ipywidgets.IntSlider(min=0, max=last, description="step", readout=False, continuous_update=False)
    play = ipywidgets.Play(min=0, max=last, interval=900)
    previous, following = (ipywidgets.Button(description=text) for text in ("◀ previous", "next ▶"))
    label, picture = ipywidgets.Label(), ipywidgets.HTML()

    def redraw(_change=None):
        label.value = labels[slider.value]
        picture.value = markup(draw(frames[slider.value]), label.value)

    def move(by: int) -> None:
        slider.value += by  # the slider itself stops at its ends

    previous.on_click(lambda _button: move(-1))
    following.on_click(lambda _button: move(1))
    ipywidgets.link((play, "value"), (slider, "value"))
    slider.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([ipywidgets.HBox([previous, following, play, slider, label]), picture])


# The handlers find their parts from the element that was used: no ids, so players never disturb each other.
_SHOW = (
    "const f=this.closest('.player').querySelectorAll('figure');"
    "f.forEach((e,i)=>e.style.display=i==this.value?'block':'none')"
)
_MOVE = (
    "const s=this.closest('.player').querySelector('input');s.value=+s.value{step};s.dispatchEvent(new Event('input'))"
)
_PLAY = (
    "const b=this,s=b.closest('.player').querySelector('input');"
    "if(b.timer){clearInterval(b.timer);b.timer=0;b.textContent='▶ play'}"
    "else{b.textContent='■ stop';b.timer=setInterval(()=>"
    "{s.value=+s.value<+s.max?+s.value+1:0;s.dispatchEvent(new Event('input'))},900)}"
)


def _player(drawn: Sequence[Figure | HTML], labels: Sequence[str]) -> HTML:
    last = len(drawn) - 1
    figures = [
        f'<figure style="margin:0;display:{"none" if place else "block"}">'
        f"{markup(picture, label)}<figcaption>{html.escape(label)}</figcaption></figure>"
        for place, (picture, label) in enumerate(zip(drawn, labels, strict=True))
    ]
    buttons = (
        f'<button type="button" onclick="{_MOVE.format(step="-1")}">◀ previous</button> '
        f'<button type="button" onclick="{_MOVE.format(step="+1")}">next ▶</button> '
        f'<button type="button" onclick="{_PLAY}">▶ play</button> '
        f'<input type="range" min="0" max="{last}" value="0" aria-label="step" oninput="{_SHOW}">'
    )
    page = f'<div class="player">{buttons}{"".join(figures)}</div>'
    if len(page) > LIMIT:
        raise ValueError(f"a player of {len(page):,} characters, {LIMIT:,} are allowed: show fewer or smaller frames")
    return HTML(page)
