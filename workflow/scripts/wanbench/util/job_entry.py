"""What every script does before anything else."""

from collections.abc import Mapping
from typing import Any

from wanbench.util.conda_env import enter_environment
from wanbench.util.lifeline import end_with


def enter_job(env_file: str, config: Mapping[str, Any]) -> str | None:
    """Hold this process to its environment, and to the life of the Snakemake that started it.

    A job that outlived a killed Snakemake would write the same files as the next run's.

    Args:
        env_file: path in the project, such as `envs/report.yaml`.
        config: Snakemake's, with what common.smk puts into it.

    Returns:
        Name of the conda environment's folder; None without conda.

    Raises:
        SystemExit: see `enter_environment`.
    """
    end_with(config["snakemake_pid"])
    return enter_environment(env_file, config["software_deployment"])
