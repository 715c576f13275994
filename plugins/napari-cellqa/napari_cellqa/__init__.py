"""Scores, maps and enhancement of layers in napari.

`layers`, `scoring`, `table`, `maps`, `enhancing`, `memory` and `samples` compute and know no Qt;
`widgets` shows what they do.
"""
