"""Services that do nothing but start, serve health and stop: real processes, with faults on request."""
