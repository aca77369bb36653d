"""What runs are judged by: metrics by name, and how their values are written."""

from prunecheck.metrics import builtin  # noqa: F401 - which registers its metrics
from prunecheck.metrics.margin import Margin, MarginOf
from prunecheck.metrics.quantity import ACCURACY, LARGEST, Quantity, is_value
from prunecheck.metrics.registry import METRICS, AnyMetric, Metric, find_metric, metric, register_metric

__all__ = [
    "ACCURACY",
    "LARGEST",
    "METRICS",
    "AnyMetric",
    "Margin",
    "MarginOf",
    "Metric",
    "Quantity",
    "find_metric",
    "is_value",
    "metric",
    "register_metric",
]
