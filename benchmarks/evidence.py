"""What the recorded results say: of the papers' claims, of the choice of a method, in the README.

No benchmark of its own: figures are read from the results of the others, and the tables made of
them stand in docs/claims.md, docs/choosing.md, docs/index.md and README.md.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.harness import load
from skt import theory
from skt.reproductions.l2sp import ALIGNMENTS, PHIS

BENCHMARKS = ()


# Reading results ------------------------------------------------------------------------------


def row(name, method, **where):
    """Return the row of a method in a result; ``where`` narrows it down, as to a design."""
    wanted = {"method": method, **where}
    for found in load(name)["rows"]:
        if all(found.get(key) == value for key, value in wanted.items()):
            return found
    raise KeyError(f"{name} has no row {wanted}")


def mean(name, method, **where):
    return f"{row(name, method, **where)['mean']:.2f}"


def mean_and_worst(name, method, **where):
    found = row(name, method, **where)
    return f"{found['mean']:.2f}, at worst {found['worst']:.2f}"


def real(name, data, method):
    """Return the row of a method on a real data set."""
    return next(r for r in load(name)["data_sets"][data]["methods"] if r["method"] == method)


def ratio(name, data, method):
    found = real(name, data, method)
    return f"{found['ratio']:.2f} ± {found['ratio_error']:.2f}"


def loss(name, data, method):
    found = real(name, data, method)
    return f"{found['loss']:.3f} ± {found['loss_error']:.3f}"


def error(name, design, method):
    found = row(name, method, design=design)
    return f"{found['error']:.3f} ± {found['standard_error']:.3f}"


def figure(name, key):
    return load(name)["figures"][key]


# The papers' claims ---------------------------------------------------------------------------

CONFIRMED, REFUTED, PARTLY = "confirmed", "refuted", "in part"


class Claim(NamedTuple):
    """What a paper says, what we found, and the command that finds it again.

    The verdict is computed from the same results as the figure, so that neither can go stale.
    """

    paper: str
    says: str
    verdict: Callable[[], str]
    figure: Callable[[], str]
    command: str


def _verdict(holds, otherwise=REFUTED):
    return CONFIRMED if holds else otherwise


OUR_SMART = "SMART (default)"
H_ENSEMBLE, PARAMETERS = "H-ensemble 2312.12489", "Parameter transfer 2509.22056"
UOWQ, OTQMS = "UOWQ 2601.10779v2", "OTQMS 2502.04242v3"
L2SP, SMART = "L2-SP 2511.08401v4", "SMART 2604.20161v1"
HASTE = "HASTE 2301.06928"
EQUAL, SAMPLES = "uowq_equal-400", "otqms_equal-400"
STATIC, DYNAMIC = "plugin (paper, static)", "iterated (paper, dynamic)"
PAPER_SAMPLES = "OTQMS, plug-in (the paper)"
PAPER_SMART, RRR = "SMART, the paper's penalty and BIC", "reduced-rank regression"
SAMPLED_TABLES = tuple(
    ("otqms_boosting", design)
    for design in ("Ames, boosting, 25 target rows", "county murders, boosting, 30 target rows")
) + tuple(
    ("otqms_digits", f"digits, {model}, {n} target rows")
    for model in ("logistic regression", "network")
    for n in (50, 200)
)


def tables_won(method, rivals):
    """Return on how many of the six real tables a method has the least error."""
    return sum(
        row(name, method, design=design)["error"]
        < min(row(name, rival, design=design)["error"] for rival in rivals)
        for name, design in SAMPLED_TABLES
    )


def simple_rules_beaten():
    rivals = ("target only", "all rows", "half of the rows at random")
    return tables_won(PAPER_SAMPLES, rivals)


def lower(name, method, other, **where):
    return row(name, method, **where)["mean"] < row(name, other, **where)["mean"]


def smart_ratio(method, design):
    """Return the error over that of reduced-rank regression, in simulation."""
    return f"{row('smart_error', method, design=design)['ratio']:.2f}"


def haste_tau(score, hardness=None):
    """Return the mean rank correlation over 5, 20 and 80 labels a class, on all or on hard rows."""
    method = score if hardness is None else f"{score}, {hardness}"
    found = load("rank_sources")["rows"]
    return float(np.mean([each["tau"] for each in found if each["method"] == method]))


def haste_gains():
    """Return by what part HASTE raises the correlation of each score, by its better hardness."""
    gains = {}
    for score in ("leep", "nce", "gbc"):
        hard = max(
            haste_tau(score, which) for which in ("far from the source", "far from the class")
        )
        gains[score] = hard / haste_tau(score) - 1
    return gains


def ratio_at(phi, alignment):
    found, place = load("l2sp_ratio"), (PHIS.index(phi), ALIGNMENTS.index(alignment))
    mean, standard_error = (found[name][place[0]][place[1]] for name in ("mean", "error"))
    return f"{mean:.2f} ± {standard_error:.2f}"


def ratios_are_on_their_side():
    """Whether all ratios are above one where the alignment is below, and the other way round."""
    off = 1 - np.array(ALIGNMENTS)
    beyond = (np.array(load("l2sp_ratio")["mean"]) - 1) * off
    return bool(np.all(beyond[:, np.abs(off) > 1e-9] > 0))


HALF, SCALED = "0.5 inherited, unscaled", "all, scaled (default)"


def settings_won(method):
    """Return in how many settings a method is better than logistic regression on the target."""
    rows = load("h_ensemble_fresh")["rows"]
    alone = {r["design"]: r["mean"] for r in rows if r["method"].startswith("logistic")}
    return sum(r["mean"] > alone[r["design"]] for r in rows if r["method"] == method)


def inherited(design, method):
    """Return the accuracy of a network that inherits less that from scratch."""
    name = "parameter_transfer"
    scratch = row(name, "from scratch", design=design)
    return row(name, method, design=design)["mean"] - scratch["mean"]


def _penalties_at_full_alignment():
    """Return the best penalties for transfer and for the source, at several levels of noise."""
    noise, spectrum = np.array([0.01, 1.0, 100.0]), theory.marchenko_pastur(2.0)
    best = [
        theory.transfer_optimal_penalty(spectrum, alignment=1.0, noise_to_signal=level)
        for level in noise
    ]
    return best, noise


CLAIMS = (
    Claim(
        UOWQ,
        "With the right weights all rows of every source should be used; choosing how many rows "
        "to take is never better",
        lambda: _verdict(lower(SAMPLES, "UOWQ, true M", "OTQMS, true M, checked")),
        lambda: (
            f"with the true discrepancy, risk {mean(SAMPLES, 'UOWQ, true M')} of the target "
            f"alone by weights, {mean(SAMPLES, 'OTQMS, true M, checked')} by rows"
        ),
        "python -m benchmarks otqms_equal-400",
    ),
    Claim(
        UOWQ,
        "Weights from the estimated differences (static) help",
        lambda: _verdict(row(EQUAL, STATIC)["worst"] <= 1, PARTLY),
        lambda: (
            f"risk {mean_and_worst(EQUAL, STATIC)} in 105 settings; with the noise of the "
            f"differences counted, {mean_and_worst(EQUAL, 'eb matrix (default)')}"
        ),
        "python -m benchmarks uowq_equal-400",
    ),
    Claim(
        UOWQ,
        "Weights recomputed as training goes on (dynamic) are better still",
        lambda: _verdict(lower(EQUAL, DYNAMIC, STATIC)),
        lambda: (
            f"risk {mean_and_worst(EQUAL, DYNAMIC)}, against {mean(EQUAL, STATIC)} static: "
            "the estimate moves to the source it is then compared with"
        ),
        "python -m benchmarks uowq_equal-400",
    ),
    Claim(
        OTQMS,
        "About half of the source rows, well chosen, give more accuracy than all rows or none",
        lambda: _verdict(simple_rules_beaten() > len(SAMPLED_TABLES) / 2),
        lambda: (
            "the paper's recipe is better than target only, all rows, and half of the rows at "
            f"random on {simple_rules_beaten()} of {len(SAMPLED_TABLES)} real tables"
        ),
        "python -m benchmarks otqms_boosting otqms_digits",
    ),
    Claim(
        OTQMS,
        "At the optimal numbers of rows the risk is never above that of the target alone (A1)",
        lambda: _verdict(row(SAMPLES, "OTQMS, true M")["worst"] <= 1.1),
        lambda: (
            f"with the true discrepancy: risk {mean_and_worst(SAMPLES, 'OTQMS, true M')}; the "
            "formula fails where fewer rows than coefficients are taken; "
            f"{mean_and_worst(SAMPLES, 'OTQMS, true M, checked')} where the rows drawn are checked"
        ),
        "python -m benchmarks otqms_equal-400",
    ),
    Claim(
        L2SP,
        "The penalty that is best for the source is not the best for transfer; above it for an "
        "alignment below one, below it for one above (v4)",
        lambda: _verdict(ratios_are_on_their_side()),
        lambda: (
            f"best for transfer / best for the source at p/n = 1.5: {ratio_at(1.5, 0.5)} at "
            f"alignment .5, {ratio_at(1.5, 1.0)} at 1, {ratio_at(1.5, 1.5)} at 1.5"
        ),
        "python -m skt reproduce l2sp-ratio",
    ),
    Claim(
        L2SP,
        "Stronger penalties at a high signal-to-noise ratio, weaker at a low one (v1 only)",
        lambda: _verdict(not np.allclose(*_penalties_at_full_alignment())),
        lambda: "at an alignment of one both penalties are the same, whatever the noise",
        "python -m skt reproduce l2sp-ratio",
    ),
    Claim(
        L2SP,
        "Sources should be trained with the transfer-optimal penalty",
        lambda: _verdict(
            lower(
                "l2sp_choice",
                "oracle: scale 1, transfer-optimal",
                "oracle: scaled, source-optimal",
            ),
            PARTLY,
        ),
        lambda: (
            "with known truth, risk "
            f"{mean('l2sp_choice', 'oracle: scale 1, transfer-optimal')} of the target alone; the "
            "source trained for itself and multiplied by the alignment has "
            f"{mean('l2sp_choice', 'oracle: scaled, source-optimal')}"
        ),
        "python -m benchmarks l2sp_choice",
    ),
    Claim(
        SMART,
        "Fitted coefficients of a source suffice to improve on reduced-rank regression",
        lambda: _verdict(row("smart_error", PAPER_SMART, design="noise .01")["ratio"] < 1),
        lambda: (
            "error over that of reduced-rank regression, slightly noisy source: "
            f"{smart_ratio(PAPER_SMART, 'noise .01')} by the paper's "
            f"choice, {smart_ratio(OUR_SMART, 'noise .01')} by ours"
        ),
        "python -m benchmarks smart_error",
    ),
    Claim(
        SMART,
        "The penalty can be chosen by BIC",
        lambda: _verdict(row("smart_error", PAPER_SMART, design="noise .5")["ratio"] <= 1.02),
        lambda: (
            "error over that of reduced-rank regression with a noisy source: "
            f"{smart_ratio(PAPER_SMART, 'noise .5')} by BIC, "
            f"{smart_ratio(OUR_SMART, 'noise .5')} by "
            "cross-validation and stacking"
        ),
        "python -m benchmarks smart_error",
    ),
    Claim(
        H_ENSEMBLE,
        "A weighted sum of the sources' features is a better classifier than the target alone",
        lambda: _verdict(settings_won("H-ensemble (paper)") > 4),
        lambda: (
            f"with few labelled digits better on {settings_won('H-ensemble (paper)')} of 9 "
            "settings than logistic regression on the target; side by side with the target's "
            f"features and an offset on {settings_won('H-ensemble (default)')}"
        ),
        "python -m benchmarks h_ensemble_fresh",
    ),
    Claim(
        PARAMETERS,
        "Inheriting filters helps where signal is shared; where it is not, harm grows with the "
        "source",
        lambda: _verdict(
            inherited("u2=2.5", HALF)
            > 0
            > inherited("unaligned, N1=40", HALF)
            > inherited("unaligned, N1=640", HALF)
        ),
        lambda: (
            f"accuracy less that from scratch, half inherited: {inherited('u2=2.5', HALF):+.2f} "
            f"with much shared; with none {inherited('unaligned, N1=40', HALF):+.2f} from 40 and "
            f"{inherited('unaligned, N1=640', HALF):+.2f} from 640 rows. Scaled down (default): "
            f"{inherited('u2=2.5', SCALED):+.2f}, {inherited('unaligned, N1=40', SCALED):+.2f}, "
            f"{inherited('unaligned, N1=640', SCALED):+.2f}"
        ),
        "python -m benchmarks parameter_transfer",
    ),
    Claim(
        HASTE,
        "Computed on the hardest target rows, scores rank sources better (LEEP +182 %, NCE +33 %, "
        "GBC +149 % in correlation)",
        lambda: _verdict(min(haste_gains().values()) > 0.3),
        lambda: (
            "rank correlation with accuracy, 24 networks on four tasks, the better of two kinds of "
            "hardness: "
            + ", ".join(f"{name.upper()} {gain:+.0%}" for name, gain in haste_gains().items())
        ),
        "python -m benchmarks rank_sources",
    ),
)


def claims():
    """Return all claims as a table."""
    lines = ["| paper | says | verdict | what we measured | command |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        cells = (claim.paper, claim.says, claim.verdict(), claim.figure(), f"`{claim.command}`")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


# Choosing a method ----------------------------------------------------------------------------


class Fork(NamedTuple):
    """A question, what a yes leads to, and what was measured there."""

    question: str
    choose: str
    measured: Callable[[], str]


PAGES = "docs/"  # of the README, whose links start at the root
DEFAULT = {"real_data": "UOWQ (default)", "l2sp_real": "L2SPRidge (default)"}
DEFAULT |= {"smart_real": "SMART (default)"}


CLASSES = "L2SPClassifier (default)"
CLASS_GROUPS = (("12 rows", "12 rows"), ("100 rows", "100 rows"), ("real", "real data, 20 rows"))

FORKS = (
    Fork(
        "Many outputs at once?",
        "SMARTRegressor",
        lambda: (
            "squared error relative to target-only ridge: "
            f"{ratio('smart_real', 'chicago', DEFAULT['smart_real'])} (20 stations, 40 days), "
            f"{ratio('smart_real', 'tissues', DEFAULT['smart_real'])} (10 tissue samples: nothing "
            "to gain)"
        ),
    ),
    Fork(
        "Rows that cost money, or training too slow for all of them?",
        "SourceSampled",
        lambda: (
            "simulated risk relative to the target alone: "
            f"{mean_and_worst(SAMPLES, 'OTQMS (default)')}, from "
            f"{row(SAMPLES, 'OTQMS (default)')['taken']:.0%} of the source rows"
        ),
    ),
    Fork(
        "A model that is not linear (trees, networks)?",
        "SourceWeighted",
        lambda: (
            "the model is tried on target rows left out. Digits from MNIST, network, errors: "
            f"{error('otqms_digits', SAMPLED_TABLES[4][1], UOWQ_ROWS)} weighted, "
            f"{error('otqms_digits', SAMPLED_TABLES[4][1], 'target only')} target only, "
            f"{error('otqms_digits', SAMPLED_TABLES[4][1], 'all rows')} all rows. Boosting, Ames: "
            f"{error('otqms_boosting', SAMPLED_TABLES[0][1], UOWQ_ROWS)} weighted, "
            f"{error('otqms_boosting', SAMPLED_TABLES[0][1], 'target only')} target only, "
            f"{error('otqms_boosting', SAMPLED_TABLES[0][1], 'all rows')} all rows"
        ),
    ),
    Fork(
        "Classes, and a linear model?",
        "L2SPClassifier",
        lambda: (
            "log-loss relative to target-only logistic regression: "
            + ", ".join(
                f"{mean('l2sp_classes', CLASSES, group=g)} ({say})" for g, say in CLASS_GROUPS
            )
            + f"; at worst {load('l2sp_classes')['bar']['worst']:.2f}"
        ),
    ),
    Fork(
        "More features than target rows, or sources at another scale?",
        "L2SPRidge",
        lambda: (
            "squared error relative to target-only ridge: "
            f"{ratio('l2sp_real', 'meats', DEFAULT['l2sp_real'])} (spectra, 15 rows; pooled "
            f"{ratio('l2sp_real', 'meats', 'pooled ridge')}), "
            f"{ratio('l2sp_real', 'ames', DEFAULT['l2sp_real'])} (114 features, 25 rows)"
        ),
    ),
    Fork(
        "One number to predict, a linear model?",
        "UOWQRegressor",
        lambda: (
            "squared error relative to target-only ridge: "
            + ", ".join(
                f"{ratio('real_data', data, DEFAULT['real_data'])} ({data})"
                for data in ("diabetes", "ames", "county murders", "exam")
            )
            + f"; simulated risk {mean_and_worst(EQUAL, 'eb matrix (default)')} (pooled "
            f"{mean_and_worst(EQUAL, 'pooled ridge')})"
        ),
    ),
)
UOWQ_ROWS = "SourceWeighted (default)"


def choosing():
    """Return the forks of the chart as a table."""
    lines = ["| question | if so | measured |", "|---|---|---|"]
    lines += [f"| {f.question} | `{f.choose}` | {f.measured()} |" for f in FORKS]
    return "\n".join(lines)


# Worst cases ----------------------------------------------------------------------------------


class Worst(NamedTuple):
    """A default, where it was compared with the target alone, and the row of the figures."""

    estimator: str
    place: str
    result: str
    method: str
    where: dict = {}

    def found(self):
        return row(self.result, self.method, **self.where)


MATRIX, STACKED = "eb matrix (default)", "L2SPRidge (default)"
SAMPLED, WEIGHTED = "SourceSampled (default)", "SourceWeighted (default)"
FEW = "few target rows (5 of 6 features to 25 of 50)"
TRAINED = "forests, boosting, ridge, logistic; real tables, "
SHUFFLED, AS_THEY_ARE = {"group": "shuffled"}, {"group": "as they are"}

UOWQ_MANY = (
    Worst("`UOWQRegressor`", "105 settings, sources of 400 rows", EQUAL, MATRIX),
    Worst("`UOWQRegressor`", "105 settings, sources of 100 rows", "uowq_equal-100", MATRIX),
    Worst(
        "`UOWQRegressor`", "40 settings at random, mirrored sources", "l2sp_random-settings", "UOWQ"
    ),
)
UOWQ_FEW = Worst("`UOWQRegressor`", FEW, "few_target_rows", "UOWQRegressor")
SAMPLED_MANY = Worst("`SourceSampled`", "105 settings, least squares", SAMPLES, "OTQMS (default)")
SAMPLED_FEW = Worst("`SourceSampled`", FEW, "few_target_rows", SAMPLED)
WEIGHTED_MANY = Worst("`SourceWeighted`", "105 settings, least squares", SAMPLES, WEIGHTED)
WEIGHTED_FEW = Worst("`SourceWeighted`", FEW, "few_target_rows", WEIGHTED)

WORST = (
    *UOWQ_MANY,
    UOWQ_FEW,
    *(
        Worst(
            "`UOWQRegressor`",
            f"real tables, sources {group}",
            "flawed_sources",
            "UOWQ (default)",
            g,
        )
        for group in ("shuffled", "badly measured", "sign turned")
        for g in [{"group": group}]
    ),
    Worst("`L2SPRidge`", "42 settings, 80 features", "l2sp_choice", STACKED),
    Worst("`L2SPRidge`", "40 settings at random", "l2sp_random-settings", STACKED),
    Worst("`L2SPRidge`", "three sources, 100 features, 40 rows", "l2sp_sources", STACKED),
    *(
        Worst("`L2SPClassifier`", f"log loss, {group}", "l2sp_classes", CLASSES, {"group": group})
        for group in ("12 rows", "30 rows", "100 rows", "40 rows, 3 classes")
    ),
    SAMPLED_MANY,
    SAMPLED_FEW,
    Worst("`SourceSampled`", f"{TRAINED}as they are", "other_models", SAMPLED, AS_THEY_ARE),
    Worst("`SourceSampled`", f"{TRAINED}outcomes shuffled", "other_models", SAMPLED, SHUFFLED),
    WEIGHTED_MANY,
    WEIGHTED_FEW,
    Worst("`SourceWeighted`", f"{TRAINED}as they are", "other_models", WEIGHTED, AS_THEY_ARE),
    Worst("`SourceWeighted`", f"{TRAINED}outcomes shuffled", "other_models", WEIGHTED, SHUFFLED),
)


def worst_of(*cases):
    """Return the worst setting of several places, with its standard error."""
    found = max((case.found() for case in cases), key=lambda each: each["worst"])
    return f"{found['worst']:.2f} ± {found['worst_error']:.2f}"


def worst():
    """Return mean and worst risk of the defaults, relative to the target alone, by place."""
    lines = ["| default | compared on | mean | worst | where |", "|---|---|---|---|---|"]
    for case in WORST:
        found = case.found()
        setting = found["worst_setting"].replace("|", ", ")
        figures = f"{found['mean']:.2f} | {worst_of(case)}"
        lines.append(f"| {case.estimator} | {case.place} | {figures} | {setting} |")
    for data, where in (("meats", "spectra, 15 rows"), ("tissues", "tissues, 10 rows")):
        ours = ratio("smart_real", data, DEFAULT["smart_real"])
        lines.append(f"| `SMARTRegressor` | real tables | | {ours} | {where} |")
    return "\n".join(lines)


def harm():
    """Return in words how much worse than the target alone the defaults can be."""
    many = (worst_of(*UOWQ_MANY), worst_of(SAMPLED_MANY), worst_of(WEIGHTED_MANY))
    few = (worst_of(UOWQ_FEW), worst_of(SAMPLED_FEW), worst_of(WEIGHTED_FEW))
    return (
        "In simulation the defaults lower the risk of the target alone on average, and in some "
        "settings they raise it.\nThe worst settings have "
        f"{many[0]} (UOWQ), {many[1]} (SourceSampled) and {many[2]} (SourceWeighted) times\nthat "
        f"risk; with fewer target rows than coefficients {few[0]}, {few[1]} and {few[2]}."
    )


# Scale ----------------------------------------------------------------------------------------


UOWQ_FIT = "`UOWQRegressor` from moments, p = 50, K = 10"


def scale():
    """Return what single steps take, from the results on cost."""
    cost, fits = (
        load("cost")["figures"],
        figure("cost", "fit from moments: seconds by rows of each source"),
    )
    rows = [
        ("Moments of n = 1,000,000, p = 50", cost["moments of 1M x 50: seconds"]),
        *((f"{UOWQ_FIT}, n = {int(n):,}", seconds) for n, seconds in fits.items()),
        ("UOWQ's programme, K = 20", cost["allocation, K=20: milliseconds"] / 1e3),
        ("UOWQ's programme, K = 500", cost["allocation, K=500: seconds"]),
        ("OTQMS's programme, K = 20", figure("otqms_programme", "ms, K = 20") / 1e3),
        *(
            (f"`L2SPRidge`: 50 x 50 penalties, {n} target rows, p = {p}", ms / 1e3)
            for n, p in ((50, 500), (500, 500), (5000, 200))
            for ms in [figure("l2sp_cost", f"surface, n1={n} p={p}: milliseconds")]
        ),
        *(
            (f"`SMARTRegressor`, {selection}", figure("smart_cost", f"{selection}: CPU seconds"))
            for size in ("n=400 p=100 q=50", "n=1500 p=300 q=200")
            for selection in [f"whole selection, {size}"]
        ),
    ]  # fmt: skip
    lines = ["| step | seconds |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {seconds:.2g} |" for name, seconds in rows)])


# The README -----------------------------------------------------------------------------------


def percent_less(name, data):
    return f"{1 - real(name, data, DEFAULT[name])['ratio']:.0%} ({data})"


def all_less(name, data_sets):
    return ", ".join(percent_less(name, data) for data in data_sets)


def inside():
    """Return what is in the suite, each with a measured figure."""
    smart, unrelated = (smart_ratio(OUR_SMART, design) for design in ("noise .01", "unrelated"))
    study = figure("study", "overhead of a cell, one process, in memory: milliseconds")
    rows = [
        (
            "`UOWQRegressor`",
            "optimal weight for every source, all rows used (arXiv 2601.10779)",
            "less error than ridge on 10 to 30 target rows: "
            f"{all_less('real_data', load('real_data')['bar']['ratio_to_target_only'])}; "
            f"[all figures]({PAGES}evidence/real.md)",
        ),
        (
            "`L2SPRidge`, `L2SPClassifier`",
            "pull the target towards its sources' fits, scaled or turned round (arXiv 2511.08401)",
            "less error than ridge on 15 to 30 target rows: "
            f"{all_less('l2sp_real', ('meats', 'ames', 'diabetes'))}; "
            f"[L2-SP]({PAGES}methods/l2sp.md)",
        ),
        (
            "`SMARTRegressor`, `ReducedRankRegressor`",
            "many outputs at once; of a source only coefficients are needed (arXiv 2604.20161)",
            f"in the paper's design {smart} of the error of reduced-rank regression, {unrelated} "
            f"with an unrelated source; [SMART]({PAGES}methods/smart.md)",
        ),
        (
            "`OTQMSSampler`, `SourceSampled`",
            "which source rows to train on, whatever the model, within a budget (arXiv 2502.04242)",
            f"simulated risk {mean_and_worst(SAMPLES, 'OTQMS (default)')} of the target alone; "
            f"[OTQMS, and where weights are better]({PAGES}methods/otqms.md)",
        ),
        (
            "`SourceWeighted`",
            "a weight for every source, for any model that takes `sample_weight`",
            f"the same simulation: {mean_and_worst(SAMPLES, 'SourceWeighted (default)')}",
        ),
        (
            "`TransferRegressor`, `TransferClassifier`",
            "the best of several methods: every source plays the target in turn",
            f"[the best of all]({PAGES}methods/transfer.md)",
        ),
        (
            "`UOWQClassifier`, `UOWQPoissonRegressor`, `UOWQMultiTaskRegressor`",
            "the same for classes and counts, and every group as the target",
            f"[classes, counts, many tasks]({PAGES}methods/classes.md)",
        ),
        (
            "`HEnsembleClassifier`, `skt.metrics.rank_sources`",
            "frozen models of any kind side by side, and which to start from (arXiv 2312.12489, "
            "2301.06928)",
            f"[H-ensemble]({PAGES}methods/h_ensemble.md), "
            f"[scores]({PAGES}methods/transferability.md)",
        ),
        (
            "`ParameterTransferClassifier`",
            "a part of the filters of another network, at a scale (arXiv 2509.22056)",
            f"[parameter transfer]({PAGES}methods/parameter_transfer.md)",
        ),
        (
            "`ConformalRegressor`",
            "intervals for predictions, from target rows left out",
            f"[intervals]({PAGES}intervals.md)",
        ),
        (
            "`TargetCV`",
            "folds in which every source row trains and only target rows validate",
            f"[pipelines and folds]({PAGES}pipelines.md)",
        ),
        (
            "`Moments`, `SourceModel`",
            "sources without rows",
            "a million rows of 50 columns in "
            f"{figure('cost', 'moments of 1M x 50: seconds'):.2g} s; [sources]({PAGES}sources.md)",
        ),
        (
            "`compare`, `python -m skt compare`",
            "does transfer help on my data, and from whom?",
            f"[ten minutes]({PAGES}start.md)",
        ),
        (
            "`run_study`, `python -m skt reproduce`",
            "Monte-Carlo studies that survive a kill; published figures again",
            f"{study:.1f} ms a cell beyond the fit; [studies]({PAGES}studies.md)",
        ),
    ]
    lines = ["| | what it does | measured |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


TABLES = {
    "claims": claims,
    "choosing": choosing,
    "worst": worst,
    "harm": harm,
    "scale": scale,
    "inside": inside,
}
