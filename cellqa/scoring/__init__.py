"""From paired images to the tables of a run."""
