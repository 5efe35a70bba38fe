from wanbench.models.facts import MODELS


rule measure:
    output:
        trace="results/traces/{case}.json",
    log:
        "logs/measure/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=asked("gpus"),
        mem_mb=asked("mem_mb"),
        runtime=asked("runtime_min"),
        cpus_per_task=asked("cpus"),
        attempt=asked("attempt"),
    params:
        case=case_identity,
        measure_digest=EXPECTED["measure"],
        env_digest=MEASURE_ENV,
        failed_attempts=failed_attempts,
    script:
        "../scripts/measure_case.py"


rule checkpoint:
    output:
        directory("results/checkpoints/{scale}/{model}"),
    log:
        "logs/checkpoint/{scale}/{model}.log",
    wildcard_constraints:
        scale="full|tiny",
        model="|".join(MODELS),
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=1,
    script:
        "../scripts/write_checkpoint.py"


# No output, so that `snakemake plan` says every time what the grid needs as it is now.
rule plan:
    log:
        "logs/plan.log",
    conda:
        "../../envs/measure.yaml"
    params:
        cases=[case.settings() for case in CASES.values()],
    script:
        "../scripts/print_plan.py"


rule predict:
    log:
        "logs/predict.log",
    conda:
        "../../envs/measure.yaml"
    params:
        cases=[case.settings() for case in CASES.values()],
        gpu=asked_gpu,
        prices=PRICES,
    script:
        "../scripts/print_prediction.py"
