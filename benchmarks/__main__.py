"""``python -m benchmarks NAME``: run a benchmark and print its table."""

import argparse

from benchmarks import data_pipeline, engine, planning, reading, report, scoring, training_step


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="NAME")
    training_step.add_command(commands)
    data_pipeline.add_command(commands)
    scoring.add_command(commands)
    reading.add_command(commands)
    planning.add_command(commands)
    report.add_command(commands)
    engine.add_command(commands)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
