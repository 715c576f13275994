"""`python -m cellqa`."""

from cellqa.cli import main

if __name__ == "__main__":
    main(prog_name="cellqa")
