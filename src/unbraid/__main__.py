"""`python -m unbraid` is the command line."""

from unbraid.cli.main import run

if __name__ == "__main__":
    run()
