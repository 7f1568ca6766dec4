"""Prunes and kills its own process, as kill -9 would, after the N-th change of the disk.

Arguments: HOME N; with N 0 nothing is killed. Run by test_prune.py.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from imagekit.build import prune as pruning


def main() -> None:
    """Prune, as far as it goes."""
    home, left = sys.argv[1], int(sys.argv[2])

    def mortal(real: Any) -> Any:
        def change(*arguments: Any, **words: Any) -> Any:
            nonlocal left
            result = real(*arguments, **words)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return change

    # All that removes or replaces a name goes through one of these.
    os.unlink = mortal(os.unlink)
    os.rename = mortal(os.rename)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        os.environ.pop(name, None)
    pruning.prune(pruning.PruneOptions(keep=1, env={"HOME": str(Path(home))}))


if __name__ == "__main__":
    main()
