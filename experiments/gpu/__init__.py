"""What was measured on a GPU: each module writes a JSON into experiments/results, with what made it."""
