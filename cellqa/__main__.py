"""The command `cellqa`, and `python -m cellqa`."""

from cellqa import interrupts


def run() -> None:
    """Run the command; a signal ends it in order, also while it is being imported."""
    interrupts.run("cellqa")


if __name__ == "__main__":
    run()
