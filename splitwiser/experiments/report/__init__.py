"""The report of a result: one HTML file with its tables and pictures, that needs no other. Imports plotly."""
