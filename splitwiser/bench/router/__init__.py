"""The router alone: what a streamed token costs it, measured over the sim engine."""
