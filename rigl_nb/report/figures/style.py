"""How figures look: sizes, and one colour and marker per method, the same in every figure.

Figures are made without pyplot: none stays open, and a notebook shows one only where a cell returns it.
"""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

DPI = 120
WIDTH = 7.0  # inches: the report's text width

STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.5,
    "image.interpolation": "none",  # pixels stay squares in a drawing too
}

# Okabe and Ito's eight colours, a grey and a wine red, which colour-blind readers can tell apart. Their yellow is
# darker here, to be seen on white. The markers differ too.
METHOD_STYLE = {
    "Dense": {"color": "#000000", "marker": "p"},
    "Small-Dense": {"color": "#888888", "marker": "v"},
    "Static": {"color": "#56B4E9", "marker": "^"},
    "SET": {"color": "#E69F00", "marker": "s"},
    "SNFS": {"color": "#009E73", "marker": "D"},
    "RigL": {"color": "#0072B2", "marker": "o"},
    "RigL-SG": {"color": "#B8A800", "marker": "<"},
    "RigL-SM": {"color": "#882255", "marker": ">"},
    "Pruning": {"color": "#D55E00", "marker": "X"},
    "Lottery": {"color": "#CC79A7", "marker": "*"},
}
OTHER_METHOD = {"color": "#555555", "marker": "h"}  # a reader's own method
INIT_LINE = {"ERK": "--", "ER": ":"}
INIT_STYLE = {
    "Random": {"color": "#56B4E9", "marker": "o"},
    "ER": {"color": "#E69F00", "marker": "s"},
    "ERK": {"color": "#0072B2", "marker": "D"},
}


def method_style(method: str) -> dict[str, str]:
    """Colour and marker of a method; one neutral style for methods that the report does not have."""
    return METHOD_STYLE.get(method, OTHER_METHOD)


class Picture(Figure):
    """A figure `WIDTH` inches wide that a notebook shows as a drawing, sharp at every size and on paper, or as pixels.

    Pixels are for where drawings are not shown: JupyterLab does not, in a notebook that nobody has run there yet.
    """

    def __init__(self, height: float = 3.0, **rest):
        super().__init__(figsize=(WIDTH, height), layout="constrained", **rest)

    def _repr_svg_(self) -> str:
        return svg(self)

    def _repr_png_(self) -> bytes:
        return png(self)


def svg(figure: Figure) -> str:
    """Return the figure as SVG, letters as curves; the same figure gives the same text, without date or version."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "rigl_nb", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    return drawing[drawing.index("<svg") :]  # without the XML prologue: pages take it as it is


def png(figure: Figure) -> bytes:
    """Return the figure as a small PNG; the same figure gives the same bytes, without date or version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    # The octree keeps the colours of small areas; Pillow's default would turn one method's into another's.
    palette = Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small = io.BytesIO()
    palette.save(small, "PNG", optimize=True)
    return small.getvalue()
