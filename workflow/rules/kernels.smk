# snakemake kernels; then the next run puts them into the report.


rule profile:
    output:
        "results/kernels/{case}.json",
    log:
        "logs/kernels/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=1,
        mem_mb=asked("mem_mb"),
        runtime=asked("runtime_min"),
        cpus_per_task=asked("cpus"),
    params:
        case=case_identity,
        profile_digest=code_digest(SCRIPTS / "profile_case.py", NOT_MEASURED),
        env_digest=MEASURE_ENV,
    script:
        "../scripts/profile_case.py"


# On several GPUs, the others' kernels would be missing.
rule kernels:
    input:
        [f"results/kernels/{name}.json" for name, case in CASES.items() if case.gpus == 1],
