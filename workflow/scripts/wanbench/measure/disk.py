"""What loading a checkpoint reads, and how much of it comes from a disk rather than from the page cache."""

from pathlib import Path

_IO = Path("/proc/self/io")


def disk_read_bytes() -> int | None:
    """Bytes that this process has made the kernel fetch from disks so far; None where Linux does not tell."""
    try:
        lines = dict(line.split(": ") for line in _IO.read_text("ascii").splitlines())
    except OSError:
        return None
    return int(lines["read_bytes"])


def weights_bytes(folder: Path) -> int:
    """Size of the safetensors files of a checkpoint folder."""
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
