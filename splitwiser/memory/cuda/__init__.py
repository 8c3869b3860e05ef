"""Device memory by file descriptor, behind the seam that memfd is behind: made once, exported, imported, mapped."""
