"""What a run shows: figures, and one page."""
