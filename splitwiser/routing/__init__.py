"""What the router does with a request between its arrival and its last token. No torch, no model."""
