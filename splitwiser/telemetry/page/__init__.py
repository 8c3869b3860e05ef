"""Owns the page of a run: the timeline of both phases and a table of requests, in one HTML file that needs no other."""

from splitwiser.telemetry.page.build import write_page

__all__ = ["write_page"]
