"""The figures that chapters share: one look, the same colour for the same expert everywhere."""

import base64
import html
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.config import InlineBackend
from torch import Tensor

# After Paul Tol's "muted" scheme, with a darker sand and grey for white paper; kept apart by colour-blind eyes too.
EXPERT_COLORS = (
    "#332288", "#CC6677", "#117733", "#DDAA33", "#88CCEE",
    "#AA4499", "#44AA99", "#882255", "#999933", "#888888",
)  # fmt: skip
INK = "#222222"


def use_style() -> None:
    """The book's look for every figure from here on: sharp, quiet axes, a white ground that dark mode keeps legible."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=list(EXPERT_COLORS),
        rc={
            "figure.figsize": (7, 3.6),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 12,
            "legend.frameon": False,
            "lines.linewidth": 2,
        },
    )
    InlineBackend.instance(parent=get_ipython()).figure_formats = {"retina"}  # twice the pixels in the same space


def color(expert: int) -> str:
    """The colour of an expert, in every chapter."""
    return EXPERT_COLORS[expert % len(EXPERT_COLORS)]


def digit(ax: Axes, image: Tensor, title: str = "", frame: str | None = None) -> None:
    """One image (D,) of a square number of pixels, dark ink on white; `frame` colours its border."""
    side = int(len(image) ** 0.5)
    ax.imshow(image.reshape(side, side).numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame or INK, linewidth=2)
    if title:
        ax.set_title(title, fontsize=9, loc="center")


def digit_grid(
    images: Tensor,
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    frames: Sequence[str] = (),
    size: float = 0.65,
) -> Figure:
    """A grid of images (rows, columns, D) as one picture, with a title a column, a title a row, a frame a column."""
    rows, columns = images.shape[:2]
    fig, axes = plt.subplots(
        rows, columns, figsize=(size * columns + 0.4, size * rows + 0.3), squeeze=False,
        gridspec_kw={"wspace": 0.08, "hspace": 0.08},
    )  # fmt: skip
    for row, ax_row in enumerate(axes):
        for column, ax in enumerate(ax_row):
            title = column_titles[column] if row == 0 and column_titles else ""
            digit(ax, images[row, column], title, frames[column] if frames else None)
        if row_titles:
            ax_row[0].set_ylabel(row_titles[row], rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
    return fig


def expert_curves(ax: Axes, x: Tensor, predictions: Tensor, gate: Tensor) -> None:
    """Each expert over x: x (B, 1), predictions (B, E, 1); thick where its gate is half or more, dotted beyond."""
    for expert in range(predictions.shape[1]):
        y = predictions[:, expert, 0].detach().numpy()
        own = (gate[:, expert] >= 0.5).detach().numpy()
        ax.plot(x[:, 0], y, color=color(expert), linestyle=":", linewidth=1.5)
        ax.plot(x[:, 0], np.where(own, y, np.nan), color=color(expert), linewidth=3)


def gate_curves(ax: Axes, x: Tensor, gate: Tensor) -> None:
    """Gate probabilities p (B, E) over x (B, 1)."""
    for expert in range(gate.shape[1]):
        ax.plot(x[:, 0], gate[:, expert].detach(), color=color(expert))
    ax.set(ylim=(-0.05, 1.05), ylabel="gate p", xlabel="x")


def confusion_map(ax: Axes, counts: Tensor, order: Sequence[int] | None = None) -> None:
    """Counts of expert against label (E, K) as a heat map with its numbers; `order` arranges the experts."""
    order = list(range(len(counts))) if order is None else list(order)
    shares = counts[order] / counts.sum(dim=0, keepdim=True).clamp(min=1)
    sns.heatmap(
        shares.numpy(), annot=counts[order].numpy(), fmt="d", cmap="Purples", vmin=0, vmax=1, cbar=False, ax=ax,
        linewidths=0.5, annot_kws={"size": 8}, yticklabels=[f"expert {e}" for e in order],
    )  # fmt: skip
    ax.set(xlabel="true digit", ylabel="")
    ax.tick_params(length=0, labelrotation=0)


def film(draw: Callable[[Figure, int], None], frames: int, alt: str, seconds: float = 6, size=(7.0, 4.0)) -> HTML:
    """An mp4 of `draw(figure, frame)`, embedded in the page with controls; its still is the last frame.

    Args:
        draw: draws one frame on an empty figure.
        frames: how many.
        alt: what the film shows, in words, for whoever cannot see it.
        seconds: how long it lasts.
        size: of the figure, in inches.
    """
    fig = plt.figure(figsize=size, dpi=100)
    pictures = []
    for frame in range(frames):
        fig.clear()
        draw(fig, frame)
        fig.canvas.draw()
        pictures.append(np.asarray(fig.canvas.buffer_rgba())[..., :3].copy())
    with tempfile.TemporaryDirectory() as folder:
        path, still = Path(folder) / "film.mp4", Path(folder) / "still.png"
        fig.savefig(still, bbox_inches=None)
        plt.close(fig)
        height, width = pictures[0].shape[:2]
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
            "-s", f"{width}x{height}", "-r", f"{frames / seconds:.3f}", "-i", "-",
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-crf", "26", "-pix_fmt", "yuv420p",
            "-movflags", "+faststart", "-y", str(path),
        ]  # fmt: skip
        subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), check=True)
        video, poster = (base64.b64encode(p.read_bytes()).decode() for p in (path, still))
    alt = html.escape(alt)
    return HTML(
        f'<video controls muted playsinline preload="metadata" style="max-width:100%" aria-label="{alt}" '
        f'poster="data:image/png;base64,{poster}"><source type="video/mp4" src="data:video/mp4;base64,{video}">'
        f"{alt}</video>"
    )
