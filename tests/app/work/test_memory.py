"""Memory settings of the process, tested in subprocesses."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from components.work.malloc_and_gc import MemoryTrimmer

HEAPS = """
import ctypes, sys, threading
from dppa_core.system.heap import few_arenas
if sys.argv[1] == "few":
    few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
together = threading.Barrier(8)
def work():
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
KEPT = """
import gc
from components.work.malloc_and_gc import keep_what_is_there
gc.disable()
before = len(gc.get_objects())
keep_what_is_there()
print(gc.isenabled(), gc.get_freeze_count() >= before, len(gc.get_objects()) < before / 10)
"""
FREED = """
import ctypes, time
from components.work.malloc_and_gc import MemoryTrimmer
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [libc.malloc(4000) for _ in range(30_000)]
for one in blocks:
    ctypes.memset(one, 1, 4000)
for one in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
    libc.free(one)
before, trimmer = resident(), MemoryTrimmer(seconds=0.01)
trimmer.work_ended()
time.sleep(0.5)
print(before - resident() > 80e6)
"""


def told(program: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_threads_share_two_heaps() -> None:
    assert told(HEAPS, "few").count("<heap nr=") <= 2 < told(HEAPS, "many").count("<heap nr=")


def test_what_was_made_is_not_looked_through_again() -> None:
    assert told(KEPT) == "True True True\n"


def test_what_work_has_freed_is_given_back() -> None:
    assert told(FREED) == "True\n"


def test_memory_is_given_back_once_for_many_ends_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    trims, timers = list[int](), list[threading.Timer]()

    class Held(threading.Timer):
        def start(self) -> None:
            timers.append(self)

    monkeypatch.setattr(threading, "Timer", Held)
    trimmer = MemoryTrimmer(lambda: trims.append(1))
    for count in (1, 2):
        for _ in range(5):
            trimmer.work_ended()
        assert (len(timers), len(trims)) == (count, count - 1)
        timers[-1].function()
        assert len(trims) == count


def test_what_work_left_in_a_cycle_is_collected_before_memory_is_returned() -> None:
    class Left:
        itself: "Left"

    left = Left()
    left.itself = left
    known, trimmed = weakref.ref(left), threading.Event()
    gc.disable()
    try:
        del left
        assert known() is not None
        MemoryTrimmer(trimmed.set, seconds=0.01).work_ended()
        assert trimmed.wait(10) and known() is None
    finally:
        gc.enable()
