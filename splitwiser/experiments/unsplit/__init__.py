"""The process of one whole engine: InferenceService straight over it."""
