"""An engine without a model: its KV is a digest of the tokens, its next token a hash of the KV it reads back."""
