"""The authoriser of the gateway's REST API."""
