"""What is timed, against what: ratios measured in one run. Tests never time anything."""
