"""An open-loop load test of an endpoint that speaks OpenAI's chat completions."""
