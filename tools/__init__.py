"""What the Makefile and CI run besides the library."""
