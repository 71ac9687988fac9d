"""Does borrowing help on real data? UOWQ against what users have today.

    python -m benchmarks real_data [--repeats 100] [--jobs 2] [--only diabetes]

Each repetition draws one group of a data set as the target, and few of its rows for training;
all other groups are sources, whole; the target's remaining rows test. Every method sees the
same features, standardised on the stacked training rows. What is measured:
:mod:`benchmarks.hold_out`.
"""

from benchmarks import data, hold_out, peers
from benchmarks.harness import command, load
from skt import UOWQRegressor

DEFAULT = "UOWQ (default)"
DESIGNS = {
    "diabetes": data.Samples(data.diabetes),
    "ames": data.Samples(data.ames),
    "county murders": data.Samples(data.county_murders),
    "exam": data.Samples(data.exam),
    "county murders, one row left out": data.Samples(data.county_murders_but_one),
}
METHODS = (
    hold_out.RIVALS
    | hold_out.STACKING
    | peers.installed(peers.ADAPT, peers.SKADA)
    | {
        "UOWQ plugin, no guard (the paper)": UOWQRegressor(weights="plugin", guard=None),
        "UOWQ scalar": UOWQRegressor(combination="scalar"),
        DEFAULT: UOWQRegressor(),
    }
)


# The bar: never worse than the target alone by more than 2 %, as good as the best on 3 of 4.
REPORT = hold_out.Report(
    DESIGNS, DEFAULT, least_wins=3, beside=("county murders, one row left out",)
)

BENCHMARKS = (
    hold_out.hold_out_study(
        "real_data",
        "Does borrowing help on four real data sets, against what users have today?",
        DESIGNS,
        METHODS,
        REPORT,
        peers=(peers.ADAPT, peers.SKADA),
    ),
)
TABLES = {"real data": lambda: REPORT.show(load("real_data"))}

if __name__ == "__main__":
    command(BENCHMARKS)
