"""Writes peers.json: what scipy 1.17.1, scikit-learn 1.9.1 and numpy 2.4.6 say of the same numbers.

The numbers are multiples of 1/64, so that no reading or adding of them rounds.
"""

import json
import pathlib

import numpy
from scipy import stats
from sklearn import metrics

random = numpy.random.default_rng(7)
before = random.integers(0, 65, 80) / 64
after = numpy.clip(before + random.integers(-12, 17, 80) / 64, 0, 1)
differences = after - before
few = differences[:12]
positives, negatives = random.integers(20, 65, 50) / 64, random.integers(0, 45, 30) / 64
mean = lambda x, axis: numpy.mean(x, axis=axis)
p = lambda x, n: stats.permutation_test(
    (x,), mean, permutation_type="samples", n_resamples=n, rng=numpy.random.default_rng(1)
).pvalue
interval = lambda x, statistic: list(
    stats.bootstrap((x,), statistic, n_resamples=100_000, method="percentile", rng=numpy.random.default_rng(1))
    .confidence_interval
)
labels = [1] * len(positives) + [0] * len(negatives)
values = numpy.concatenate([positives, negatives])
false, true, thresholds = metrics.roc_curve(labels, values, drop_intermediate=False)
peers = {
    "differences": differences.tolist(),
    "few": few.tolist(),
    "p": p(differences, 1_000_000),
    "p_few": p(few, numpy.inf),
    "interval": interval(differences, mean),
    "p95": numpy.quantile(before, 0.95, method="inverted_cdf"),
    "median": numpy.quantile(before, 0.5, method="inverted_cdf"),
    "before": before.tolist(),
    "before_interval": interval(before, mean),
    "positives": positives.tolist(),
    "negatives": negatives.tolist(),
    "auroc": metrics.roc_auc_score(labels, values),
    "roc": list(zip(thresholds[1:].tolist(), true[1:].tolist(), false[1:].tolist())),
}
path = pathlib.Path(__file__).with_name("peers.json")
lines = [f" {json.dumps(name)}: {json.dumps(value, default=float)}" for name, value in peers.items()]
path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
