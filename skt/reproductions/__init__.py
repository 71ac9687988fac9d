"""What papers and notes report, next to what this package gives: ``python -m skt reproduce``.

A reproduction joins with one line in ``REGISTRY``.
"""

from skt.reproductions import l2sp, parameter_transfer, smart, uowq
from skt.reproductions.reproduction import Figure, Reproduction, report

__all__ = ["REGISTRY", "Figure", "Reproduction", "load", "report"]

# Name, what it is, the function that returns the `Reproduction`.
REGISTRY = {
    "uowq-equal-400": ("risk of UOWQ, equal designs, sources of 400 rows", uowq.equal_400),
    "uowq-equal-100": ("risk of UOWQ, equal designs, sources of 100 rows", uowq.equal_100),
    "uowq-unequal": ("risk of UOWQ where designs and noise differ", uowq.unequal),
    "l2sp-ratio": ("best source penalty against alignment, L2-SP figure 1", l2sp.ratio_figure),
    "smart-rows": ("error of SMART by rows", smart.rows),
    "smart-rank": ("error of SMART by the target's rank", smart.rank),
    "smart-structural-rank": ("error of SMART by structural rank", smart.structural_rank),
    "smart-noise": ("error of SMART by the noise of the source", smart.noise),
    "smart-models": ("error of SMART in the paper's three models", smart.models),
    "smart-relations": ("error of SMART with other relations to the source", smart.relations),
    "parameter-transfer": (
        "accuracy of partial parameter transfer by fraction, signal and source size",
        parameter_transfer.parameter_transfer,
    ),
}


def load(name):
    """Return a reproduction by its name."""
    if name not in REGISTRY:
        raise ValueError(f"NAME must be one of {', '.join(REGISTRY)}; got {name!r}.")
    return REGISTRY[name][1]()
