"""Needs of images."""

from imagekit.needs.needs import Kernel, Mpi, Needs

ALL = Needs(
    mpi=Mpi(implementation="openmpi", version="4.1"),
    pmi=("pmix",),
    cpu="x86-64-v3",
    glibc="2.31",
    cuda="12.2",
    kernel=Kernel(minimum="5.15", config=("USER_NS",)),
    devices=("nvidia.com/gpu=all", "example.org/nic"),
)
"""One of each."""
