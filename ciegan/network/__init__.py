"""Trained networks: weights, what goes in and comes out, and other programs' formats."""
