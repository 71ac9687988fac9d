"""The report as files."""

import csv
import io

from skt.cli.html import _html_page, _weights_name
from skt.plots import ComparisonDisplay, SourceWeightsDisplay, SourceWeightsMapDisplay

NO_PLOTS = "no figures: matplotlib is not installed (pip install scikit-transfer[plot])"


def write_report(comparison, out, *, notes=(), command=""):
    """Write tables, figures and an HTML page into a folder.

    Parameters
    ----------
    comparison : Comparison
        What :func:`skt.compare` returned.
    out : pathlib.Path
        The folder; made if it does not exist.
    notes : sequence of str, default=()
        What was done to the data.
    command : str, default=""
        The command that makes the report again.

    Returns
    -------
    written : list of pathlib.Path
        The files.
    remarks : list of str
        What could not be drawn, and why.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Tables first: whatever a figure does, they are there.
    written = [_write_csv(out / "table.csv", comparison.summary)]
    if len(comparison.targets) > 1:
        written.append(_write_csv(out / "targets.csv", comparison.by_target))
    if comparison.source_weights:
        written.append(_write_csv(out / "weights.csv", comparison.source_weights))
    figures, remarks = _figures(comparison)
    written += [_write_bytes(out / f"{name}.png", image) for name, image in figures.items()]
    page = _html_page(comparison, figures, [*notes, *remarks], command)
    return [*written, _write_bytes(out / "report.html", page.encode())], remarks


# Files --------------------------------------------------------------------------------------


def _write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_bytes(path, content):
    path.write_bytes(content)
    return path


def _figures(comparison):
    """PNG images by name, and remarks on those that could not be drawn."""
    images, remarks = {}, []
    for name, display in _displays(comparison).items():
        try:
            images[name] = _draw(display)
        except ImportError:
            return {}, [NO_PLOTS]
        except Exception as error:  # a figure is worth less than the table it belongs to
            remarks.append(f"figure {name} could not be drawn: {type(error).__name__}: {error}")
    return images, remarks


def _displays(comparison):
    displays = {"losses": ComparisonDisplay.from_comparison(comparison)}
    single = len(comparison.targets) == 1
    kind = SourceWeightsDisplay if single else SourceWeightsMapDisplay
    for method in dict.fromkeys(row["method"] for row in comparison.source_weights):
        displays[_weights_name(method)] = kind.from_comparison(comparison, method)
    return displays


def _draw(display):
    from matplotlib.figure import Figure  # not pyplot: no window system is needed

    figure = Figure(figsize=display.figure_size, layout="constrained")
    display.plot(ax=figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
