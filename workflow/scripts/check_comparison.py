"""Rule compare: the run as a whole fails when a case is worse than in the baseline, and says which."""

import json
import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.text import visible

worse = [visible(line) for line in json.loads(Path(snakemake.input.json).read_text("utf-8"))["worse"]]
Path(snakemake.log[0]).write_text("".join(f"{line}\n" for line in worse), "utf-8")
if worse:
    sys.exit(
        "\n".join([f"The comparison {snakemake.input.markdown} is complete, and worse than the baseline is:", *worse])
    )
