"""Draw the chart of docs/choosing.md: `python docs/choosing_chart.py chart.svg`.

Questions, answers and figures are those of `benchmarks/evidence.py`.
"""

import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.evidence import FORKS

HEIGHT = 1.75  # of a fork, in inches, with the gap below it
QUESTION, ANSWER = "#FFFFFF", "#DCEBF5"
WORD = {"fontsize": 9, "style": "italic"}


def draw(path):
    """Draw one fork below the other, the answer to the right with what was measured."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text: it can be searched and read aloud
    figure, ax = plt.subplots(figsize=(11, HEIGHT * len(FORKS)))
    ax.set(xlim=(0, 11), ylim=(HEIGHT * (1 - len(FORKS)) - 0.8, 0.8))
    ax.axis("off")
    for k, fork in enumerate(FORKS):
        draw_fork(ax, fork, -HEIGHT * k, last=k == len(FORKS) - 1)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def draw_fork(ax, fork, y, last):
    """Draw a question, and the answer beside it."""
    box(ax, 0, y, 3.4, textwrap.fill(fork.question, 31), QUESTION, size=11)
    box(ax, 4.3, y, 6.6, "", ANSWER)
    ax.text(
        4.45, y + 0.48, fork.choose, fontsize=12, weight="bold", va="center", family="monospace"
    )
    ax.text(4.45, y - 0.14, textwrap.fill(unbroken(fork.measured()), 76), fontsize=8.5, va="center")
    arrow(ax, (3.4, y), (4.3, y))
    ax.text(3.85, y + 0.06, "yes", ha="center", va="bottom", **WORD)
    if not last:
        arrow(ax, (1.7, y - 0.7), (1.7, y - HEIGHT + 0.7))
        ax.text(1.8, y - HEIGHT / 2, "no", ha="left", va="center", **WORD)


def unbroken(text):
    """Keep a figure and its standard error on one line."""
    return text.replace(" ± ", "\u00a0±\u00a0")


def box(ax, x, y, width, text, color, size=10):
    """Draw a frame with text in its middle."""
    frame = plt.Rectangle((x, y - 0.7), width, 1.4, facecolor=color, edgecolor="black", linewidth=1)
    ax.add_patch(frame)
    ax.text(x + width / 2, y, text, fontsize=size, ha="center", va="center")


def arrow(ax, start, end):
    """Draw an arrow."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})


if __name__ == "__main__":
    draw(sys.argv[1])
