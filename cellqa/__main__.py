"""The command `cellqa`, and `python -m cellqa`."""

from cellqa import interrupts


def run() -> None:
    """Run the command; a signal ends it in order, also while it is being imported."""
    interrupts.take()
    try:
        from cellqa.cli import main

        main(prog_name="cellqa")
    except KeyboardInterrupt:
        interrupts.end()
    except SystemExit as stop:
        if interrupts.seen():
            interrupts.leave(stop.code)
        raise
    finally:
        interrupts.ignore()


if __name__ == "__main__":
    run()
