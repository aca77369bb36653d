"""How often verdicts are wrong, and how often there is one, by simulation of differences whose shape is known."""
