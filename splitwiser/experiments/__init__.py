"""Experiments: what is measured is data (experiments/NAME/experiment.yaml), how it is measured is code, here."""
