rule measure:
    output:
        trace="results/traces/{case}.json",
    log:
        "logs/measure/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=lambda wildcards, attempt: needs(wildcards.case, attempt).gpus,
        mem_mb=lambda wildcards, attempt: needs(wildcards.case, attempt).mem_mb,
        runtime=lambda wildcards, attempt: needs(wildcards.case, attempt).runtime_min,
        cpus_per_task=lambda wildcards, attempt: needs(wildcards.case, attempt).cpus,
        attempt=lambda wildcards, attempt: needs(wildcards.case, attempt).attempt,
    params:
        case=case_identity,
        measure_digest=EXPECTED["measure"],
        env_digest=MEASURE_ENV,
        failed_attempts=failed_attempts,
    script:
        "../scripts/measure_case.py"


rule profile:
    output:
        "results/kernels/{case}.json",
    log:
        "logs/kernels/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: needs(wildcards.case, attempt).mem_mb,
        runtime=lambda wildcards, attempt: needs(wildcards.case, attempt).runtime_min,
        cpus_per_task=lambda wildcards, attempt: needs(wildcards.case, attempt).cpus,
    params:
        case=case_identity,
        profile_digest=code_digest(SCRIPTS / "profile_case.py", NOT_MEASURED),
        env_digest=MEASURE_ENV,
    script:
        "../scripts/profile_case.py"


# The next run puts them into the report. On several GPUs, the others' kernels would be missing.
rule kernels:
    input:
        [f"results/kernels/{name}.json" for name, case in CASES.items() if case.gpus == 1],


rule checkpoint:
    output:
        directory("results/checkpoints/{scale,full|tiny}/{model}"),
    log:
        "logs/checkpoint/{scale}/{model}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=1,
    script:
        "../scripts/write_checkpoint.py"
