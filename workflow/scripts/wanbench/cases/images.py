"""Is this file an image? Answered before any work starts, without an imaging library."""

from pathlib import Path

from wanbench.util.errors import InputError

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": 0, b"\xff\xd8\xff": 0, b"WEBP": 8}


def check_image(path: Path, where: str) -> None:
    """Check that the file begins as a PNG, JPEG or WebP file does.

    Raises:
        InputError: it is missing, cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}; allowed: a PNG, JPEG or WebP file") from None
    if not any(head[offset:].startswith(signature) for signature, offset in _SIGNATURES.items()):
        raise InputError(f"{where} is not an image; allowed: a PNG, JPEG or WebP file")
