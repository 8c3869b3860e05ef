"""The command line. What typer reads is light; each command's work is imported when it runs."""
