"""What transferability scores cost, against the same scores written as in released code.

    python -m benchmarks transferability_cost

Released code decomposes the features themselves, inverts covariances of all features and goes
through the classes one by one. It is written here anew from its description.
"""

import numpy as np
from sklearn.covariance import ledoit_wolf

from benchmarks.harness import Costs, command, load
from benchmarks.timing import in_turns
from skt.metrics import h_score, leep_score, logme_score, transrate_score

SHAPES = {"3000 x 512, 50 classes": (3000, 512, 50), "100 x 1024, 10 classes": (100, 1024, 10)}


def rows(n, d, n_classes):
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, d)) + rng.normal(size=(n_classes, d))[y], y


def released_logme(F, y):
    """Singular values of the features, then eleven steps for each class."""
    U, root, _ = np.linalg.svd(F, full_matrices=False)
    s, n = root**2, len(y)
    evidence = []
    for c in range(y.max() + 1):
        target = (y == c).astype(float)
        x2 = (U.T @ target) ** 2
        rest, a, b = np.sum(target**2) - np.sum(x2), 1.0, 1.0
        for _ in range(11):
            t = a / b
            gamma = np.sum(s / (s + t))
            m2 = np.sum(s * x2 / (s + t) ** 2)
            r2 = np.sum(x2 * (t / (s + t)) ** 2) + rest
            a, b = gamma / (m2 + 1e-5), (n - gamma) / (r2 + 1e-5)
        evidence.append(n * np.log(b) - np.sum(np.log(a + b * s)) - b * r2 - a * m2)
    return np.mean(evidence)


def released_h(F, y):
    """Pseudo-inverse of the covariance times that of class means, one row for each row."""
    means = np.zeros_like(F)
    for c in range(y.max() + 1):
        means[y == c] = F[y == c].mean(axis=0)
    covariance, r = ledoit_wolf(F)
    return (1 - r) * np.trace(np.linalg.pinv(covariance) @ np.cov(means.T, bias=True))


def released_transrate(F, y):
    F = F - F.mean(axis=0)
    return rate(F) - np.mean([rate(F[y == c]) for c in range(y.max() + 1)])


def rate(F):
    n, d = F.shape
    return np.linalg.slogdet(np.eye(d) + F.T @ F / (n * 1e-4))[1] / 2


def released_leep(theta, y):
    joint = np.zeros((y.max() + 1, theta.shape[1]))
    for label, row in zip(y, theta, strict=True):
        joint[label] += row / len(y)
    conditional = joint / joint.sum(axis=0)
    return np.mean([np.log(conditional[c] @ row) for c, row in zip(y, theta, strict=True)])


def softmax(F):
    theta = np.exp(F - F.max(axis=1, keepdims=True))
    return theta / theta.sum(axis=1, keepdims=True)


PAIRS = {
    "LogME": (logme_score, released_logme),
    "shrunk H-score": (h_score, released_h),
    "TransRate": (transrate_score, released_transrate),
    "LEEP": (leep_score, released_leep),
}


def times(repeats, shape):
    F, y = rows(*SHAPES[shape])
    figures = {}
    for name, (ours, released) in PAIRS.items():
        Z = softmax(F[:, : y.max() + 1]) if name == "LEEP" else F
        fast, slow = in_turns(
            lambda Z=Z, f=ours: f(Z, y), lambda Z=Z, f=released: f(Z, y), repeats=repeats
        )
        figures[f"{name}, {shape}: time / released form"] = fast / slow
        figures[f"{name}, {shape}: milliseconds"] = 1e3 * fast
    return figures


def of(shape):
    return lambda repeats: times(repeats, shape)


# A third and a seventh were asked for; no score may be slower than the released form.
ASKED = {"LogME": 1 / 3, "shrunk H-score": 1 / 7}
COST = Costs(
    name="transferability_cost",
    question="What do transferability scores cost, against the form of released code?",
    measurements={shape: of(shape) for shape in SHAPES},
    bars={
        f"{name}, {shape}: time / released form": ASKED.get(name, 1.0)
        for name in PAIRS
        for shape in SHAPES
    },
    repeats=5,
)

BENCHMARKS = (COST,)

TABLES = {"transferability cost": lambda: COST.table(load("transferability_cost"))}

if __name__ == "__main__":
    command(BENCHMARKS)
