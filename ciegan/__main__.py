"""The command `ciegan`, and `python -m ciegan`, which is how Lightning starts further processes."""

from cellqa import interrupts


def run() -> None:
    """Run the command; a signal ends it in order, also while it is being imported."""
    interrupts.run("ciegan")


if __name__ == "__main__":
    run()
