"""Rule predict: says what the cases of a grid are likely to take on a GPU of which only the datasheet is known."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/measure.yaml", snakemake.config)

from wanbench.cases.case import Case
from wanbench.estimate.gpu_facts import find_gpu
from wanbench.estimate.prediction import predict, prediction_text

gpu, prices = find_gpu(snakemake.params.gpu), snakemake.params.prices
cases = [Case.from_settings(dict(settings)) for settings in snakemake.params.cases]
text = prediction_text([predict(case, gpu, prices) for case in cases], gpu, prices.get("currency", ""))
Path(snakemake.log[0]).write_text(text, "utf-8")
print(text)
