"""The package's public names."""

import ciegan


def test_every_public_name_exists() -> None:
    for name in ciegan.__all__:
        assert getattr(ciegan, name) is not None
