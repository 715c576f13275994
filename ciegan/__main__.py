"""`python -m ciegan`, which is also how Lightning starts further processes."""

from ciegan.cli import main

if __name__ == "__main__":
    main(prog_name="ciegan")
