"""``spec.json``, sharded TFRecords and ``manifest.json``: write, verify, read."""
