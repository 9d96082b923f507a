"""Serve the fake Bedrock runtime: ``python -m ops.fake_bedrock [port]`` (default 8090)."""

import sys

from ops.fake_bedrock.server import FakeBedrock

DEFAULT_PORT = 8090


def main() -> None:
    """Serve on loopback until interrupted, after printing the endpoint's address."""
    fake = FakeBedrock(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT)
    sys.stdout.write(f"{fake.endpoint_url}\n")
    sys.stdout.flush()
    try:
        fake.serve_forever()
    except KeyboardInterrupt:
        sys.stdout.write("Stopped.\n")


if __name__ == "__main__":
    main()
