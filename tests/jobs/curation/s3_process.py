"""Amazon S3 on loopback in a process of its own, run as a script: it writes its address."""

import sys
import threading

from tests.s3_on_loopback import s3_on_loopback

if __name__ == "__main__":
    with s3_on_loopback() as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        threading.Event().wait()
