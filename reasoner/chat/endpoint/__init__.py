"""One endpoint: address, requests, faults, retries, prices."""
