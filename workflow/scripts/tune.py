"""Rule tune: the best settings for one video on this machine, by short cases that are measured one after the other."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.report.render import rendered
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.tuning.drive import Tuning
from wanbench.tuning.goal import goal_of
from wanbench.tuning.tuning_result import result_of
from wanbench.util.errors import InputError

goal = goal_of(snakemake.params.options)
folder = Path("results/tune", goal.name)
digests = {key: snakemake.config["expected"][key] for key in ("measure", "env")}
command = list(snakemake.params.command)
if snakemake.config["software_deployment"] == "conda":
    command += ["--sdm", "conda", "--conda-prefix", str(snakemake.params.conda_prefix)]
# A lock of ours keeps a second tuning off. `--resources` takes all words up to the next option.
command += ["--resources", f"gpu={snakemake.params.options.get('gpus', 1)}", "--nolock"]
tuning = Tuning(goal, folder, command, digests, Limits(**snakemake.params.limits))
try:
    result = result_of(goal, tuning.run(), tuning.took_s())
except InputError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit("tune: interrupted; the same command goes on")
page = folder.with_name(f"{folder.name}.md")
write_atomically(folder.with_name(f"{folder.name}.json"), json.dumps(result, indent=1, allow_nan=False) + "\n")
write_atomically(page, rendered("tune.md.j2", result=result))
print(page.read_text("utf-8").partition("\n## ")[0])
print(f"All of it: {page}")
if not (result["exact"] or result["lossy"]):
    sys.exit(f"tune: no settings fit; {page} says why")
