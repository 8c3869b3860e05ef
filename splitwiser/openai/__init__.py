"""OpenAI's HTTP API in front of the router's reception. Needs the extra `http`."""
