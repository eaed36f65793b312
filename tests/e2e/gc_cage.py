"""The cage: runs a command inside a memory cgroup (v1 or v2) limited to so many bytes, and tells which pages of a file are in memory.

The group is made below this process's own, so that limits around it keep holding, and removed afterwards. Where groups may not be made,
`Cage.open` returns None and a reason; callers say so and skip.
"""
import ctypes
import mmap
import os
import time

import gc_e2e as gc

ROOT = "/sys/fs/cgroup"


def _own_group():
    """(version, folder) candidates for a parent of the new group, best first."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            entries = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for _, controllers, path in entries:
        if "memory" in controllers.split(","):
            for base in (path, "/"):
                yield 1, os.path.join(ROOT, "memory", base.lstrip("/"))
    for number, controllers, path in entries:
        if number == "0" and not controllers:
            for base in (os.path.dirname(path), path, "/"):
                yield 2, os.path.join(ROOT, base.lstrip("/"))


def _write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(value))


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Cage:
    def __init__(self, version, folder):
        self.version, self.folder = version, folder

    @staticmethod
    def open(limit_bytes):
        reason = "no memory cgroup is mounted"
        for version, parent in _own_group():
            if not os.path.isdir(parent):
                continue
            folder = os.path.join(parent, f"gcompile-e2e-{os.getpid()}")
            try:
                os.mkdir(folder)
            except OSError as error:
                reason = f"no cgroup may be made below {parent}: {error.strerror}"
                continue
            try:
                if version == 1:
                    _write(os.path.join(folder, "memory.limit_in_bytes"), limit_bytes)
                else:
                    _write(os.path.join(folder, "memory.max"), limit_bytes)
                    swap = os.path.join(folder, "memory.swap.max")
                    if os.path.exists(swap):
                        _write(swap, 0)
                return Cage(version, folder), ""
            except OSError as error:
                reason = f"the memory of {folder} may not be limited: {error.strerror}"
                os.rmdir(folder)
        return None, reason

    def run(self, command, **options):
        """As gc_e2e.run, inside the cage."""
        procs = os.path.join(self.folder, "cgroup.procs")
        return gc.run(command, preexec_fn=lambda: _write(procs, os.getpid()), **options)

    def highest_bytes(self):
        """The most memory the group held, page cache included; 0 where the kernel does not say."""
        name = os.path.join(self.folder, "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")
        return int(_read(name)) if os.path.exists(name) else 0

    def close(self):
        for _ in range(50):
            try:
                os.rmdir(self.folder)
                return
            except OSError:  # the last process has not been reaped yet
                time.sleep(0.1)


def drop_from_page_cache(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def resident_share(path, offset=0, length=None):
    """The share of the pages of [offset, offset + length) of a file that are in memory (mincore)."""
    page = mmap.PAGESIZE
    length = os.path.getsize(path) - offset if length is None else length
    if length <= 0:
        return 0.0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    start = offset // page * page
    span = offset + length - start
    pages = -(-span // page)
    state = (ctypes.c_ubyte * pages)()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = libc.mmap(None, span, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, start)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")
        if libc.mincore(address, span, state) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(address, span)
    finally:
        os.close(descriptor)
    return sum(byte & 1 for byte in bytes(state)) / pages


def sections(path):
    """[(kind, offset, bytes)] of an artifact."""
    import struct
    with open(path, "rb") as file:
        header = file.read(64)
        (count,) = struct.unpack_from("<I", header, 24)
        table = file.read(32 * count)
    return [(kind, offset, size) for kind, _, offset, size, _ in struct.iter_unpack("<IIQQQ", table)]
