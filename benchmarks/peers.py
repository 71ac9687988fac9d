"""Other people's software, as methods of a study; what is not installed is skipped, and said.

A peer needs packages. :func:`installed` keeps the methods whose packages are there; the harness
prints and records the state of every peer that a benchmark names.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.sparse.linalg import lsqr
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.utils import Bunch

from benchmarks.harness import installed_version


@dataclass(frozen=True)
class Peer:
    """A method that needs software of others.

    Parameters
    ----------
    name : str
        Of the method in tables.
    package : str
        Distribution that must be installed.
    modules : tuple of str
        Modules that must be there; a package may lack what it needs itself.
    method : callable
        ``method(data)`` fits and returns what the metrics measure.
    stand_in : str, default=""
        What the method does where the package is missing. Without it the peer is skipped.
    """

    name: str
    package: str
    modules: tuple
    method: Callable
    stand_in: str = ""

    def there(self):
        """Whether the software can be imported."""
        return all(find_spec(module) for module in self.modules)

    def state(self):
        """Return the version, or what happens without."""
        if self.there():
            return f"{self.package} {installed_version(self.package)}"
        return f"{self.package} is not installed; {self.stand_in or 'skipped'}"


def installed(*peers):
    """Return the methods of the peers that are there, or that have a stand-in, by name."""
    return {peer.name: peer.method for peer in peers if peer.there() or peer.stand_in}


# adapt --------------------------------------------------------------------------------------


def regular_transfer(data):
    """adapt's RegularTransferLR from the pooled sources, its penalty by 5-fold on the target."""
    rows = data.rows("sources")
    source = LinearRegression().fit(data.X[rows], data.y[rows])
    X, y = (array[data.rows("target")] for array in (data.X, data.y))
    penalties = np.logspace(-2, 2, 9)  # adapt squares them
    folds = list(KFold(5, shuffle=True, random_state=0).split(X))

    def error(penalty):
        fits = [(_pull(source, X[a], y[a], penalty), b) for a, b in folds]
        return sum(np.sum((y[b] - fit.predict(X[b])) ** 2) for fit, b in fits)

    return _pull(source, X, y, min(penalties, key=error))


def _pull(source, X, y, penalty):
    """Fit by adapt, or by the very call that adapt makes where it is not installed."""
    if ADAPT.there():
        from adapt.parameter_based import RegularTransferLR

        return RegularTransferLR(source, lambda_=penalty, random_state=0, verbose=0).fit(X, y)
    design = np.column_stack([np.ones(len(X)), X])
    start = np.vstack([np.atleast_1d(source.intercept_), np.atleast_2d(source.coef_).T])
    outputs = zip(y.reshape(len(y), -1).T, start.T, strict=True)
    pulled = np.array([lsqr(design, each, damp=penalty, x0=x0)[0] for each, x0 in outputs])
    model = LinearRegression()
    model.intercept_, model.coef_ = pulled[:, 0], pulled[:, 1:]
    if y.ndim == 1:
        model.intercept_, model.coef_ = pulled[0, 0], pulled[0, 1:]
    return model


ADAPT = Peer(
    "L2-SP (adapt)",
    "adapt",
    ("adapt", "tensorflow"),
    regular_transfer,
    stand_in="the scipy.sparse.linalg.lsqr call that it makes stands in",
)


# skada --------------------------------------------------------------------------------------


def reweighted_sources(data):
    """skada's density reweighting of the sources; it does not use the target's outcomes.

    Importing skada switches metadata routing on for the whole process; it is put back.
    """
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        from skada import DensityReweightAdapter, make_da_pipeline

        pipeline = make_da_pipeline(
            DensityReweightAdapter(), Ridge(alpha=1.0).set_fit_request(sample_weight=True)
        )
        # skada overwrites the caller's y with nan.
        return pipeline.fit(data.X, data.y.copy(), sample_domain=_signs(data.sample_domain))


def _signs(sample_domain):
    """Labels as skada has them: sources are 1, 2, ..., the target is negative."""
    names, codes = np.unique(sample_domain, return_inverse=True)
    return np.where(names[codes] == "target", -1, codes + 1)


SKADA = Peer("density reweighting (skada)", "skada", ("skada",), reweighted_sources)


# Outputs of authors' code -------------------------------------------------------------------


def stored_data(path):
    """Return a data set on which authors' code was run, with what it returned.

    ``path`` is an ``.npz`` file of arrays with a JSON text ``meta``. The result has the arrays
    by name and ``meta``; None if there is no such file.
    """
    if not Path(path).exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return Bunch(**arrays | {"meta": json.loads(str(arrays["meta"]))})


def stored_output(name):
    """Return a method that hands out the array ``name`` of :func:`stored_data` as ``coef_``."""
    return lambda data: SimpleNamespace(coef_=data[name])
