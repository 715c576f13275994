"""What a run says: rows, summaries, comparisons, and the files that hold them."""
