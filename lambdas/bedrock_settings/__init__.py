"""Sets what Bedrock knows only once per account and region, and puts back what was there before."""
