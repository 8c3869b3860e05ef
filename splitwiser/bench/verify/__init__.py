"""The proof that split serving changes no token: the running stack against the same model unsplit."""
