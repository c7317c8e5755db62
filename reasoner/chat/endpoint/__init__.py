"""One endpoint: address, requests, errors, retries, cache, prices."""
