"""The calls of `conda` that Snakemake makes, as: python command.py INSTALLATION ARGUMENT..."""

import asyncio
import json
import os
import sys
from pathlib import Path

import yaml
from rattler import VirtualPackage, install, solve
from rattler.virtual_package import VirtualPackageOverrides

from conda_stand_in.channel import pinned

PLATFORM = "linux-64"


def main(installation: Path, arguments: list[str]) -> None:
    match arguments:
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(installation), "platform": PLATFORM}))
        case ["--version"]:
            # The oldest that Snakemake takes.
            print("conda 24.7.1")
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]:
            asyncio.run(_create(installation, Path(file), Path(prefix)))
        case ["clean", "-y", "--tarballs"]:
            pass
        case _:
            sys.exit(f"the stand-in for conda has no: conda {' '.join(arguments)}")


async def _create(installation: Path, env_file: Path, prefix: Path) -> None:
    """Make an environment. What its `pip:` section names is taken from the channel too."""
    channels = yaml.safe_load(env_file.read_text("utf-8"))["channels"]
    records = await solve(
        sources=[(installation / "channels" / channel).as_uri() for channel in channels],
        specs=[f"{name}={version}" for name, version in pinned(env_file).items()],
        platforms=[PLATFORM, "noarch"],
        # As of conda, CONDA_OVERRIDE_CUDA takes the place of what the driver says.
        virtual_packages=VirtualPackage.detect(overrides=VirtualPackageOverrides.from_env()),
    )
    prefix.mkdir(parents=True)
    await install(records, prefix, cache_dir=installation / "pkgs", show_progress=False)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except Exception as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    sys.stdout.flush()
    # py-rattler 0.28 ends about one process in ten with a crash of the interpreter's shutdown, when all is done.
    os._exit(0)
