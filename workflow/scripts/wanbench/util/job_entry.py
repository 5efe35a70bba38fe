"""What every script does before anything else."""

import sys
from collections.abc import Mapping
from typing import Any

from wanbench.util.conda_env import enter_environment
from wanbench.util.lifeline import end_with
from wanbench.util.rule_log import open_log


def enter_job(env_file: str, config: Mapping[str, Any], log: str | None = None) -> str | None:
    """Hold this process to its environment, and to the life of the Snakemake that started it.

    A job that outlived a killed Snakemake would write the same files as the next run's.

    Args:
        env_file: path in the project, such as `envs/report.yaml`.
        config: Snakemake's, with what common.smk puts into it.
        log: the rule's, which gets what is written to standard error; None where the terminal does.

    Returns:
        Name of the conda environment's folder; None without conda.

    Raises:
        SystemExit: see `enter_environment`.
    """
    end_with(config["snakemake_pid"])
    conda_env = enter_environment(env_file, config["software_deployment"])
    if log is not None:
        sys.stderr = open_log(log)
    return conda_env
