"""Rule compare: the run as a whole fails when a case is worse or a trace could not be used, and says which."""

import json
import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.text import visible

comparison = json.loads(Path(snakemake.input.json).read_text("utf-8"))
# What could not be used was not compared, so it may be worse as well.
apart = [] if comparison["cases"] else [f"no case of {comparison['baseline']} has the settings or the name of one here"]
faults = {
    "and worse than the baseline is": comparison["worse"],
    "but could not compare": comparison["left_out"],
    "but nothing was compared": apart,
}
faults = {what: [visible(line) for line in lines] for what, lines in faults.items() if lines}
Path(snakemake.log[0]).write_text("".join(f"{line}\n" for lines in faults.values() for line in lines), "utf-8")
if faults:
    parts = ["\n".join([f"{what}:", *lines]) for what, lines in faults.items()]
    sys.exit(f"The comparison {snakemake.input.markdown} is complete, " + "\n\n".join(parts))
