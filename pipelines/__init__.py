"""Tasks, one file each: targets, stream, losses, decoding, scoring."""
