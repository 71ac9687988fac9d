"""Summaries as Markdown and LaTeX tables."""


# Tables -------------------------------------------------------------------------------------

# Statistics that are shown with an error in brackets, or with the ends of an interval.
ERRORS = {
    "mean": "standard_error",
    "difference": "difference_error",
    "mean_ratio": "mean_ratio_error",
    "worst_ratio": "worst_ratio_error",
}
INTERVALS = {"ratio": ("ratio_low", "ratio_high")}


def to_markdown(rows, *, statistics=("mean",), columns="design", metric=None, digits=3):
    r"""Return a table in Markdown: a line for each method, columns for each design.

    Parameters
    ----------
    rows : list of dict
        What :func:`summarize` or :func:`summarize_designs` returned.
    statistics : sequence of str, default=("mean",)
        Keys of the rows. Means, differences and ratios over designs come with their standard
        error in round brackets, ratios with their interval in square ones.
    columns : str or None, default="design"
        Key whose values are the columns: the design, or one of its parameters. None makes a
        column of each statistic only, for rows of one design or over designs.
    metric : str, default=None
        Which metric; may be left out if there is one.
    digits : int, default=3
        After the decimal point.

    Returns
    -------
    str
        Without a newline at the end.

    Examples
    --------
    >>> from skt.study import to_markdown
    >>> rows = [
    ...     {"metric": "loss", "method": m, "n": n, "mean": v, "standard_error": 0.01}
    ...     for m, n, v in [("old", 10, 1.0), ("old", 20, 0.8), ("new", 10, 0.5), ("new", 20, 0.4)]
    ... ]
    >>> print(to_markdown(rows, columns="n", digits=2))
    | method | n = 10 | n = 20 |
    |---|---|---|
    | old | 1.00 (0.01) | 0.80 (0.01) |
    | new | 0.50 (0.01) | 0.40 (0.01) |
    """
    head, *lines = _cells(rows, statistics, columns, metric, digits)
    text = [head, ["---"] * len(head), *lines]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in text]
    bars = [f"| {' | '.join(line)} |" for line in escaped]
    bars[1] = "|" + "---|" * len(head)
    return "\n".join(bars)


def to_latex(rows, *, statistics=("mean",), columns="design", metric=None, digits=3):
    r"""Return a table in LaTeX, with the lines of the package booktabs.

    Parameters
    ----------
    rows, statistics, columns, metric, digits
        As in :func:`to_markdown`.

    Returns
    -------
    str
        A ``tabular``.

    Examples
    --------
    >>> from skt.study import to_latex
    >>> rows = [{"metric": "loss", "method": "ridge", "mean_ratio": 0.5, "mean_ratio_error": 0.02}]
    >>> print(to_latex(rows, statistics=["mean_ratio"], columns=None))
    \begin{tabular}{lr}
    \toprule
    method & mean ratio \\
    \midrule
    ridge & 0.500 (0.020) \\
    \bottomrule
    \end{tabular}
    """
    head, *lines = (
        " & ".join(map(_latex, line)) + r" \\"
        for line in _cells(rows, statistics, columns, metric, digits)
    )
    n_columns = head.count(" & ")
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * n_columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def _latex(text):
    return "".join(LATEX.get(character, character) for character in text)


def _cells(rows, statistics, columns, metric, digits):
    """Return the texts of a table, its head first."""
    rows = _of_metric(rows, metric)
    found = {}
    for row in rows:
        place = row["method"], None if columns is None else _column(row, columns)
        if place in found:
            raise ValueError(_ambiguous(columns, found[place], row))
        found[place] = row
    methods, kinds = (list(dict.fromkeys(each)) for each in zip(*found, strict=True))
    head = [_head(columns, kind, name, statistics) for kind in kinds for name in statistics]
    lines = [
        [method, *(_cell(found.get((method, k)), s, digits) for k in kinds for s in statistics)]
        for method in methods
    ]
    return [["method", *head], *lines]


def _of_metric(rows, metric):
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    if metric is None and len(metrics) == 1:
        return rows
    if metric not in metrics:
        raise ValueError(f"metric must be one of {metrics}; got {metric!r}.")
    return [row for row in rows if row["metric"] == metric]


def _column(row, columns):
    if columns not in row:
        raise ValueError(f"columns must be a key of the rows, {list(row)}; got {columns!r}.")
    return row[columns]


def _ambiguous(columns, first, second):
    return (
        f"columns={columns!r} does not tell {first.get('design')!r} and {second.get('design')!r} "
        "apart; pass rows that differ in nothing else, or another key."
    )


def _head(columns, kind, statistic, statistics):
    name = statistic.replace("_", " ")
    if columns is None:
        return name
    place = str(kind) if columns == "design" else f"{columns} = {kind}"
    return place if len(statistics) == 1 else f"{place}, {name}"


def _cell(row, statistic, digits):
    if row is None:
        return ""
    if statistic not in row:
        raise ValueError(f"statistics must be keys of the rows, {list(row)}; got {statistic!r}.")
    value = row[statistic]
    text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    if statistic in ERRORS:
        return f"{text} ({row[ERRORS[statistic]]:.{digits}f})"
    if statistic in INTERVALS:
        low, high = (row[end] for end in INTERVALS[statistic])
        return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"
    return text
