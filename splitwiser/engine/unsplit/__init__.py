"""Whole engines, for comparison: prefill and decode of a request in one process, as servers do without a split."""
