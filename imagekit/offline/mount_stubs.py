"""What runtimes mount over in an image, made where the image lacks it: ``build.mount_points``.

Images that imagekit built have it; what any other one has is left as it is.
"""

from imagekit.build.mount_points import FILES, FOLDERS, LINKS
from imagekit.offline.runtimespec import MOUNT_POINTS

# "$1" is the root. Only its own folders are entered: the links of an image lead anywhere.
STUBS = f"""
stubs() (
  umask 022
  cd -- "$1"
  there() {{ [ -e "$1" ] || [ -L "$1" ]; }}
  apart() {{ case $1 in */*) [ ! -d "${{1%/*}}" ] || [ -L "${{1%/*}}" ] ;; *) false ;; esac }}
  for name in {" ".join(FOLDERS)}; do apart $name || there $name || mkdir $name; done
  for name in {" ".join(FILES)}; do apart $name || there $name || : > $name; done
  {"; ".join(f"apart {name} || there {name} || ln -s {to} {name}" for name, to in LINKS.items())}
)
"""
"""A function of the shell that makes them in a folder."""


def pseudo_files() -> str:
    """Return the options of mksquashfs that make them; it leaves what a tree has as it is."""
    folders = [*(point.lstrip("/") for point in MOUNT_POINTS), *FOLDERS]
    made = [
        *(f"/{name} D 0 755 0 0" for name in folders),
        *(f"/{name} F 0 644 0 0 true" for name in FILES),
        *(f"/{name} S 0 777 0 0 {to}" for name, to in LINKS.items()),
    ]
    return " ".join(f"-p '{path}'" for path in made)
