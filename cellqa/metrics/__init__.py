"""Metrics, one family a file; `cellqa.registry` lists them."""
