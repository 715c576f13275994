"""The command `ciegan`, and `python -m ciegan`, which is how Lightning starts further processes."""

from cellqa import interrupts


def run() -> None:
    """Run the command; a signal ends it in order, also while it is being imported."""
    interrupts.take()
    try:
        from ciegan.cli import main

        main(prog_name="ciegan")
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
