"""Metrics, one family a file; `cellqa.metrics.registry` lists them."""
