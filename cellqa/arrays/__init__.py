"""Scoring from Python in one call: arrays, tensors, files or folders in, tables and a page out."""
