"""Text to tokens and back, and where a completion ends in text. No torch, no network but the Hugging Face hub."""
