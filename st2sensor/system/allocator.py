"""The C library's allocator: memory of large blocks goes back to the system as soon as they are freed."""

from __future__ import annotations

import ctypes

LARGE_BLOCK = 1_000_000
"""Bytes from which a block is mapped by itself."""

M_MMAP_THRESHOLD = -3
"""glibc's number for the parameter, from malloc.h."""


def map_large_blocks() -> None:
    """Map each large block by itself, so that freeing it returns its memory. Does nothing without glibc.

    By default glibc does this only until the first large block is freed. Later blocks up to that size, at most 32 MB,
    come from the heap, and the heap keeps them while anything above them is in use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
