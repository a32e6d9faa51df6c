"""The book's diagrams: a manager, its experts and what flows between them, as SVG that every Jupyter shows."""

import re
from xml.sax.saxutils import escape

from moe_lib.plots import INK, color

WIDTH = 700  # units of every drawing: two to a pixel on a phone, so letters are large and words few
GREY = "#666666"
WORDS = 'font-family="Helvetica, Arial, DejaVu Sans, sans-serif"'
FORMULA = 'font-family="Georgia, Times, DejaVu Serif, serif" font-style="italic"'

SVG = """<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{name}-title {name}-words"
 width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="max-width: 100%; height: auto">
<title id="{name}-title">{title}</title>
<desc id="{name}-words">{words}</desc>
<rect width="{width}" height="{height}" fill="white"/>
{parts}
</svg>"""


class Diagram:
    """A drawing that grows by boxes, arrows and text. Jupyter shows it as SVG, or in words where it shows no SVG.

    Args:
        title: what it is of.
        words: what it shows, for whoever cannot see it.
        height: of the drawing, whose width is 700.
    """

    def __init__(self, title: str, words: str, height: int) -> None:
        self.title, self.words, self.height = title, words, height
        self._parts: list[str] = []

    def __repr__(self) -> str:
        return self.words

    def _repr_svg_(self) -> str:
        return SVG.format(
            name=self.title.lower().replace(" ", "-"), title=escape(self.title), words=escape(self.words),
            width=WIDTH, height=self.height, parts="\n".join(self._parts),
        )  # fmt: skip

    def text(self, x: float, y: float, text: str) -> None:
        """Text around (x, y): words, or a formula, in which `p_i` and `p_k|i` have a subscript."""
        look = WORDS if re.fullmatch(r"\d|([A-Za-z]{2,} ?)+", text) else FORMULA
        lowered = re.sub(
            r"_(\w(?:\|\w)?)([^_]*)", r'<tspan dy="6" font-size="17">\1</tspan><tspan dy="-6">\2</tspan>', text
        )
        self._parts.append(
            f'<text x="{x}" y="{y + 8}" text-anchor="middle" font-size="24" fill="{INK}" {look}>{lowered}</text>'
        )

    def box(self, x: float, y: float, width: float, text: str, edge: str = GREY, height=54, kind="part") -> None:
        """A box around (x, y) with text in it; `edge` colours it."""
        self._parts.append(
            f'<rect class="{kind}" x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" rx="7" '
            f'fill="{edge}" fill-opacity="0.15" stroke="{edge}" stroke-width="3"/>'
        )
        self.text(x, y, text)

    def expert(self, number: int, x: float, y: float, width: float, text: str) -> None:
        """A box in the colour of an expert."""
        self.box(x, y, width, text, edge=color(number), kind="expert")

    def autoencoder(self, number: int, x: float, y: float) -> None:
        """What is in the box of an expert that is a VAE: an encoder that narrows, a code, a decoder that widens."""
        for side, half in ((-1, "encoder"), (1, "decoder")):
            corners = [(x + side * out, y + up * side) for out, up in ((132, -22), (132, 22), (28, 12), (28, -12))]
            self.shape(corners, fill=color(number), opacity=0.25)
            self.text(x + side * 80, y, half)
        self.text(x, y, "z")

    def shape(self, corners: list[tuple[float, float]], fill: str, opacity: float = 1) -> None:
        """A filled polygon."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._parts.append(f'<polygon points="{points}" fill="{fill}" fill-opacity="{opacity}"/>')

    def arrow(self, *corners: tuple[float, float], stroke: str = GREY) -> None:
        """A line through points, with a head at its end."""
        points = " ".join(f"{x},{y}" for x, y in corners)
        self._parts.append(f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="3"/>')
        (x0, y0), (x1, y1) = corners[-2:]
        away = complex(x0 - x1, y0 - y1)
        away /= abs(away)
        wings = [complex(x1, y1) + 13 * away * turn for turn in (1 + 0.5j, 1 - 0.5j)]
        self.shape([(x1, y1), *((wing.real, wing.imag) for wing in wings)], fill=stroke)

    def probabilities(self, x: float, y: float, width: float, experts: int) -> None:
        """A bar divided among the experts, the gate's answer."""
        part = width / experts
        for i in range(experts):
            self.box(x + (i + 0.5) * part, y, part, f"p_{i + 1}", edge=color(i))


def eleven_modules() -> Diagram:
    """The whole model: one manager and ten VAEs."""
    drawing = Diagram(
        "Eleven modules",
        "An image x goes to a manager and to each of ten VAEs, numbered from 0 to 9, each in a colour of its own. "
        "An arrow in that colour leads from the manager to each VAE: the manager says whom to ask.",
        height=320,
    )
    drawing.box(30, 40, 44, "x")
    drawing.box(350, 40, 220, "manager")
    drawing.arrow((52, 40), (240, 40))
    drawing.text(580, 40, "says whom to ask")
    drawing.arrow((16, 67), (16, 270), (652, 270), (652, 223))
    for expert in range(10):
        x = 58 + 66 * expert
        drawing.arrow((x, 270), (x, 223))
        drawing.arrow((350 + 11 * (expert - 4.5), 67), (x, 168), stroke=color(expert))
        drawing.expert(expert, x, 196, 54, str(expert))
    drawing.text(350, 298, "ten VAEs that see the image itself")
    return drawing


def manager_and_experts() -> Diagram:
    """A mixture of experts, whatever they are."""
    drawing = Diagram(
        "Manager and experts",
        "A number x goes to a manager and to each of three experts. The manager answers with three probabilities that "
        "share one bar, p1, p2 and p3; each expert answers for itself, with y1, y2 and y3.",
        height=320,
    )
    drawing.box(60, 205, 50, "x")
    drawing.box(310, 40, 240, "manager")
    drawing.arrow((60, 178), (60, 40), (190, 40))
    drawing.arrow((430, 40), (490, 40))
    drawing.probabilities(490, 40, 200, experts=3)
    for i, y in enumerate((130, 205, 280)):
        drawing.arrow((85, 205), (190, y))
        drawing.expert(i, 310, y, 240, "expert")
        drawing.arrow((430, y), (560, y), stroke=color(i))
        drawing.text(585, y, f"y_{i + 1}")
    return drawing


def mixture_of_regressions() -> Diagram:
    """What a mixture is trained on: each expert's loss against y, weighted by the manager."""
    drawing = Diagram(
        "Mixture of regressions",
        "A number x goes to a manager and to two experts. Each expert's answer is compared with y, and its squared "
        "error goes into a sum, weighted by the manager's probability p for that expert.",
        height=304,
    )
    _losses(drawing, target="y", answer="y_{}", loss="(y − y_{})²")
    return drawing


def mixture_of_vaes() -> Diagram:
    """The same with y = x, and a VAE for each expert."""
    drawing = Diagram(
        "Mixture of VAEs",
        "The drawing of the mixture of regressions with two changes: each expert is an encoder, a code z and a "
        "decoder, and its answer is compared with x itself, by the negative ELBO.",
        height=304,
    )
    _losses(drawing, target="x", answer="μ_{}", loss="−ELBO_{}")
    return drawing


def _losses(drawing: Diagram, target: str, answer: str, loss: str) -> None:
    """Draws a mixture of two experts with the losses that it is trained on; with x as its target they are VAEs."""
    middle, rows = 190, (116, 264)  # the target stands between the losses, so that its arrows cross none
    drawing.box(30, middle, 46, "x")
    drawing.box(217, 40, 284, "manager")
    drawing.arrow((30, middle - 27), (30, 40), (75, 40))
    drawing.arrow((359, 40), (412, 40))
    drawing.probabilities(412, 40, 130, experts=2)
    drawing.box(632, middle, 128, "Σ p_i loss_i", height=rows[1] - rows[0] + 54)
    drawing.arrow((542, 40), (632, 40), (632, rows[0] - 27))
    drawing.box(477, middle, 46, target)
    for i, y in enumerate(rows):
        drawing.arrow((53, middle), (75, y))
        drawing.expert(i, 217, y, 284, "" if target == "x" else "expert")
        if target == "x":
            drawing.autoencoder(i, 217, y)
        drawing.arrow((359, y), (412, y), stroke=color(i))
        drawing.text(384, y - 24, answer.format(i + 1))
        drawing.box(477, y, 130, loss.format(i + 1), edge=color(i))
        away = 27 if y > middle else -27
        drawing.arrow((477, middle + away), (477, y - away))
        drawing.arrow((542, y), (568, y), stroke=color(i))


def tree_of_experts() -> Diagram:
    """Two experts that are mixtures themselves, of two experts each."""
    drawing = Diagram(
        "Tree of experts",
        "A number or image x goes to a manager, which shares it out with probabilities p1 and p2 between two mixtures. "
        "In each of them a manager of its own shares it out again between two experts: four leaves, each in a colour "
        "of its own. Every manager and every expert sees x itself.",
        height=350,
    )
    middle = 156
    drawing.box(32, middle, 46, "x")
    drawing.box(150, middle, 128, "manager")
    drawing.arrow((55, middle), (86, middle))
    for i, y in enumerate((80, middle + 76)):
        drawing.arrow((214, middle), (280, y))
        drawing.text(232, y + (24 if y < middle else -24), f"p_{i + 1}")
        drawing.box(484, y, 408, "", height=140)
        drawing.box(362, y, 128, "manager")
        for k, row in enumerate((y - 30, y + 30)):
            leaf = 2 * i + k
            drawing.arrow((426, y), (536, row), stroke=color(leaf))
            drawing.text(470, row + (-12 if k == 0 else 12), f"p_{k + 1}|{i + 1}")
            drawing.expert(leaf, 607, row, 142, "expert")
    drawing.text(350, 326, "all of them see x")
    return drawing


DIAGRAMS = {
    "eleven modules": eleven_modules,
    "manager and experts": manager_and_experts,
    "mixture of regressions": mixture_of_regressions,
    "mixture of VAEs": mixture_of_vaes,
    "tree of experts": tree_of_experts,
}


def diagram(name: str) -> Diagram:
    """One of the book's diagrams, by its name in `DIAGRAMS`: "eleven modules", "tree of experts" and others.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in DIAGRAMS:
        raise ValueError(f"diagram is {name!r}; choose one of {', '.join(DIAGRAMS)}")
    return DIAGRAMS[name]()
