"""The machine that figures were taken on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a figure means nothing without: processor, device, versions, threads, and the load before."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def seconds_waited(schedule: Path = Path("/proc/self/schedstat")) -> float:
    """Return how long this process has been ready to run while others had the processors; 0 where nobody knows."""
    if not schedule.is_file():
        return 0.0
    _, nanoseconds, _ = schedule.read_text().split()
    return int(nanoseconds) / 1e9


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as Linux gives it, or as Python does elsewhere."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> list[int]:
    """Return the bytes of the first core's caches of data, smallest first; nothing where Linux does not say."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    found = [
        (place / "size").read_text().strip()
        for place in folder.glob("index*")
        if (place / "size").is_file() and not _of_instructions(place)
    ]
    return sorted(int(size[:-1]) * units[size[-1]] for size in found if size[-1:] in units)


def _of_instructions(cache: Path) -> bool:
    kind = cache / "type"
    return kind.is_file() and kind.read_text().strip() == "Instruction"
