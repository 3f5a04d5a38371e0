"""One foreign naming of weights a file."""
