"""Write the tables of docs/results.md from benchmarks/results/*.json.

    python -m benchmarks.report [--check]

Text between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced by the table NAME; with --check
nothing is written and a stale page is an error.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "benchmarks" / "results"


def load(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def risk_table(name):
    """Mean and worst ratio of every method, by group of settings."""
    from benchmarks.uowq_risk import markdown

    result = load(name)
    return "\n".join(
        [
            f"{result['repeats']} repeats a setting, seed {result['seed']}, relative to "
            f"{result['baseline']}; {result['failures']} failures.",
            "",
            markdown(result["rows"]),
        ]
    )


def column_table(name):
    """Mean ratio by pattern of discrepancy, methods below each other."""
    rows = [r for r in load(name)["rows"] if r["group"] == "all"]
    columns = list(rows[0]["columns"])
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for r in rows:
        cells = " | ".join(f"{r['columns'][name]:.3f}" for name in columns)
        lines.append(f"| {r['method']} | {cells} |")
    return "\n".join(lines)


def prediction_table(*names):
    """How well the estimator knows its own risk."""
    lines = [
        "| study | method | settings | predicted / simulated risk | mean abs. log ratio | "
        "clear gains or losses | right sign |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name.removeprefix('uowq_')} | {p['method']} | "
        f"{p['settings_with_3_rows_per_feature']} | "
        f"{p['mean_ratio_of_predicted_to_simulated_risk']:.2f} | "
        f"{p['mean_absolute_log_ratio']:.2f} | {p['settings_with_clear_gain_or_loss']} | "
        f"{p['share_of_them_with_right_sign']:.0%} |"
        for name in names
        for p in load(name)["predictions"]
    ]
    return "\n".join(lines)


def real_data_tables():
    from benchmarks.real_data import markdown, verdict

    result = load("real_data")
    parts = [markdown(name, facts) for name, facts in result["data_sets"].items()]
    return "\n\n".join([*parts, verdict(result["bar"], len(result["data_sets"]))])


def cost_table():
    from benchmarks.cost import markdown

    return markdown(load("cost")["figures"])


TABLES = {
    "equal-400": lambda: risk_table("uowq_equal-400"),
    "equal-400 by column": lambda: column_table("uowq_equal-400"),
    "equal-100": lambda: risk_table("uowq_equal-100"),
    "unequal": lambda: risk_table("uowq_unequal"),
    "wide": lambda: risk_table("uowq_wide"),
    "switch": lambda: risk_table("uowq_switch"),
    "outputs": lambda: risk_table("uowq_outputs"),
    "predictions": lambda: prediction_table("uowq_equal-400", "uowq_equal-100", "uowq_unequal"),
    "real data": real_data_tables,
    "cost": cost_table,
}


def filled(page):
    """Return the page with every table made anew."""

    def table(match):
        return f"<!-- {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- (.+?) -->\n.*?<!-- end -->", table, page, flags=re.S)


def main():
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" in sys.argv and old != new:
        sys.exit("docs/results.md is stale; run python -m benchmarks.report")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
