"""Train a ticket, with the flags of the code published with arXiv:2009.11094."""

import sys

from prunecheck.cli import main

if __name__ == "__main__":
    main(["published", "train-ticket", *sys.argv[1:]])
