"""``python -m imagekit`` is the command ``imagekit``."""

import sys

from imagekit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
