"""Metrics, one family a file; `cellqa.metrics.table` lists them."""
