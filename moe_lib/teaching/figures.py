"""The figures that chapters share: one look, the same colour for the same expert everywhere."""

import base64
import html
import io
import math
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

if TYPE_CHECKING:
    from IPython.display import HTML

# After Paul Tol's "muted" scheme, with a darker sand and grey for white paper; kept apart by colour-blind eyes too.
EXPERT_COLORS = (
    "#332288", "#CC6677", "#117733", "#DDAA33", "#88CCEE",
    "#AA4499", "#44AA99", "#882255", "#999933", "#888888",
)  # fmt: skip
INK = "#222222"
SIZE = 13  # of all text, in points: in a figure 5.6 inches wide that is 11 pixels on a phone 390 pixels wide
MOST = 400  # pictures in one grid: more than that, and none can be told from the next
ZOOM = 3  # each pixel of a digit is drawn as 3 × 3, so that no viewer smooths it away


def use_style() -> None:
    """The book's look for every figure from here on: SVG, quiet axes, and text that a phone can show."""
    from IPython import get_ipython
    from matplotlib_inline.config import InlineBackend

    plt.rcParams.update(
        {
            "figure.figsize": (5.6, 3.2),
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "moe",  # the same figure is the same file
            "font.size": SIZE,
            "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "sans-serif"],
            "text.color": INK,
            "axes.prop_cycle": plt.cycler(color=EXPERT_COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.linewidth": 1.25,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "lines.linewidth": 2,
            "lines.solid_capstyle": "round",
            "patch.edgecolor": "white",
            "patch.force_edgecolor": True,
        }
        | {f"{part}size": SIZE for part in ("axes.title", "axes.label", "xtick.label", "ytick.label", "legend.font")}
        | {f"{axis}tick.color": INK for axis in "xy"}
    )
    backend = InlineBackend.instance(parent=get_ipython())
    backend.figure_formats = {"svg"}
    backend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Date": None}}


def color(expert: int) -> str:
    """The colour of an expert, in every chapter."""
    return EXPERT_COLORS[expert % len(EXPERT_COLORS)]


def digit(ax: Axes, image: ArrayLike, title: str = "", frame: str | None = None) -> None:
    """One image, (D,) or (S, S), dark ink on white; `frame` colours its border.

    Raises:
        ValueError: if it is no square image, or several.
    """
    pictures = _pictures(image)
    if pictures.shape[:2] != (1, 1):
        raise ValueError(f"digit draws one image and was given shape {_array(image).shape}; digit_grid draws several")
    ax.imshow(_zoomed(pictures[0, 0]), cmap="gray_r", vmin=0, vmax=1, interpolation="none")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame or INK, linewidth=2)
    if title:
        ax.set_title(title, loc="center")


def digit_grid(
    images: ArrayLike,
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    frames: Sequence[str] = (),
    below: Sequence[Sequence[str]] = (),
    size: float = 0.5,
) -> Figure:
    """Images as one figure, with a title for each column and row, a frame for each column, and words under each image.

    Args:
        images: from 0 (paper) to 1 (ink), as a tensor or an array: (N, D) is one row of N images, (R, C, D) a grid of
            R rows and C columns. Images that are not flattened, (N, S, S) or (R, C, S, S), are drawn alike.
        column_titles: one for each column, or none.
        row_titles: one for each row, or none.
        frames: a colour for each column, or none; more colours than columns are no harm.
        below: for each row the words under its images, of one line or several, or none.
        size: of one image, in inches.

    Raises:
        ValueError: if they are no grid of square grey images, or more than can be told apart.
    """
    pictures = _pictures(images)  # (R, C, S, S)
    rows, columns = pictures.shape[:2]
    for given, wanted, what in ((row_titles, rows, "row"), (column_titles, columns, "column")):
        if given and len(given) != wanted:
            raise ValueError(f"digit_grid was given {len(given)} {what} titles for {wanted} {what}s")
    if below and [len(words) for words in below] != [columns] * rows:
        raise ValueError(f"digit_grid needs words below for {rows} rows of {columns} images, and was given others")
    if frames and len(frames) < columns:
        raise ValueError(f"digit_grid was given {len(frames)} frames for {columns} columns")
    side = pictures.shape[-1]
    gap = max(2, side // 12)  # between pictures, in pixels of theirs
    lines = max((words.count("\n") + 1 for row in below for words in row), default=0)
    wide, high = side + gap, side + gap + round(lines * 1.4 * SIZE / 72 / size * (side + gap))
    sheet = np.zeros((rows * high, columns * wide), np.float32)
    fig, ax = plt.subplots(figsize=(size * columns, size * rows * high / wide))
    for row, column in np.ndindex(rows, columns):
        top, left = row * high + gap // 2, column * wide + gap // 2
        sheet[top : top + side, left : left + side] = pictures[row, column]
        if frames:
            ax.add_patch(plt.Rectangle((left, top), side, side, fill=False, ec=frames[column], linewidth=2))
        if below:
            ax.text(left + side / 2, top + side + gap / 2, below[row][column], ha="center", va="top")
    ax.imshow(
        _zoomed(sheet), cmap="gray_r", vmin=0, vmax=1, interpolation="none", extent=(0, columns * wide, rows * high, 0)
    )
    ax.set_xticks(np.arange(columns) * wide + gap // 2 + side / 2, column_titles or [""] * columns)
    ax.set_yticks(np.arange(rows) * high + gap // 2 + side / 2, row_titles or [""] * rows)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return fig


def expert_curves(ax: Axes, x: Tensor, predictions: Tensor, gate: Tensor) -> None:
    """Each expert over x: x (B, 1), predictions (B, E, 1); thick where its gate is half or more, dotted beyond."""
    x, predictions, gate = map(_array, (x, predictions, gate))
    for expert in range(predictions.shape[1]):
        y = predictions[:, expert, 0]
        ax.plot(x[:, 0], y, color=color(expert), linestyle=":", linewidth=1.5)
        ax.plot(x[:, 0], np.where(gate[:, expert] >= 0.5, y, np.nan), color=color(expert), linewidth=3)


def gate_curves(ax: Axes, x: Tensor, gate: Tensor) -> None:
    """Gate probabilities p (B, E) over x (B, 1)."""
    x, gate = map(_array, (x, gate))
    for expert in range(gate.shape[1]):
        ax.plot(x[:, 0], gate[:, expert], color=color(expert))
    ax.set(ylim=(-0.05, 1.05), ylabel="gate p", xlabel="x")


def confusion_map(ax: Axes, counts: Tensor, order: Sequence[int] | None = None) -> None:
    """Counts of expert against label (E, K) as a heat map with its numbers; `order` arranges the experts."""
    import seaborn  # here, since it brings pandas with it

    counts = _array(counts)
    order = list(range(len(counts))) if order is None else list(order)
    shares = counts / counts.sum(axis=0, keepdims=True).clip(min=1)
    seaborn.heatmap(
        shares[order], annot=counts[order], fmt="d", yticklabels=order, cmap="Purples", vmin=0, vmax=1,
        linewidths=0.5, cbar=False, ax=ax,
    )  # fmt: skip
    ax.set(xlabel="true digit", ylabel="expert")
    ax.tick_params(length=0, rotation=0)


def film(draw: Callable[[Figure, int], None], frames: int, alt: str, seconds: float = 6, size=(5.6, 3.2)) -> "HTML":
    """An mp4 of `draw(figure, frame)`, embedded in the page with controls; until it plays, its first frame is shown.

    Args:
        draw: draws one frame on an empty figure.
        frames: how many.
        alt: what the film shows, in words, for readers who cannot see it.
        seconds: how long it lasts.
        size: of the figure, in inches.
    """
    import imageio_ffmpeg
    from IPython.display import HTML

    fig = plt.figure(figsize=size, dpi=100)
    pictures = []
    for frame in range(frames):
        fig.clear()
        draw(fig, frame)
        fig.canvas.draw()
        if frame == 0:
            fig.savefig(still := io.BytesIO(), bbox_inches=None)
        pictures.append(np.asarray(fig.canvas.buffer_rgba())[..., :3].copy())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        plt.close(fig)
        height, width = pictures[0].shape[:2]
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
            "-s", f"{width}x{height}", "-r", f"{frames / seconds:.3f}", "-i", "-",
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-crf", "26", "-pix_fmt", "yuv420p",
            "-movflags", "+faststart", "-y", str(path),
        ]  # fmt: skip
        subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), check=True)
        video, poster = (base64.b64encode(data).decode() for data in (path.read_bytes(), still.getvalue()))
    alt = html.escape(alt)
    return HTML(
        f'<video controls muted playsinline preload="metadata" style="max-width:100%" aria-label="{alt}" '
        f'poster="data:image/png;base64,{poster}"><source type="video/mp4" src="data:video/mp4;base64,{video}">'
        f"{alt}</video>"
    )


def _zoomed(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) with each pixel as a square of ZOOM × ZOOM."""
    return picture.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def _array(values: ArrayLike) -> np.ndarray:
    """The numbers of a tensor, wherever it lies and whether or not it wants gradients, of an array, or of a list."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() else values).numpy()  # NumPy has no bfloat16
    return np.stack([_array(value) for value in values]) if isinstance(values, list | tuple) else np.asarray(values)


def _pictures(images: ArrayLike) -> np.ndarray:
    """Images as a grid (R, C, S, S); for the forms that are taken see `digit_grid`."""
    pixels = _array(images)
    *leading, last = pixels.shape or (0,)
    given, side = f"images of shape {pixels.shape}", math.isqrt(last)
    if len(leading) >= 2 and last in (1, 3, 4) and leading[-1] == leading[-2]:
        raise ValueError(f"{given} look like pictures in colour; give grey ones, for instance images.mean(-1)")
    if leading and leading[-1] == last:
        *leading, side = leading
    elif side**2 != last:
        leading = None
    if leading is None or len(leading) > 2 or side < 2 or 0 in leading:
        raise ValueError(
            f"{given} are no grid of square images; give (N, D) for one row, (R, C, D) for a grid, or the same with "
            "(S, S) in place of D: (10, 784), (2, 10, 784), (10, 28, 28), (2, 10, 28, 28)"
        )
    if math.prod(leading) > MOST:
        raise ValueError(f"{given} are {math.prod(leading):,} pictures; give at most {MOST}, for instance images[:20]")
    if pixels.dtype.kind not in "fiub":
        raise ValueError(f"{given} hold {pixels.dtype}; give numbers from 0 to 1")
    if pixels.dtype.kind in "iu" and pixels.max() > 1:
        raise ValueError(f"{given} go up to {pixels.max()}; give pixels from 0 to 1, for instance images / 255")
    return pixels.reshape((1,) * (2 - len(leading)) + (*leading, side, side)).astype(np.float32)
