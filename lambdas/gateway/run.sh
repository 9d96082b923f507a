#!/bin/sh
# The handler of the function: the Lambda Web Adapter layer starts this file and forwards requests
# to the port. https://github.com/awslabs/aws-lambda-web-adapter
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec python3 -m gateway.server
