"""``python -m kmir VERB …`` is the console command ``kmir VERB …``."""

import sys

from kmir.cli import main

sys.exit(main())
