"""The stacks that an experiment measures: split, unsplit, or a running one. All answer the same calls."""
