rule measure:
    output:
        trace="results/traces/{case}.json",
    log:
        "logs/measure/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=asked_gpus,
        # Only Slurm reads it. Stock diffusers exports, moves and compiles on all cores that it may use, and nodes
        # commonly have as many a GPU.
        cpus_per_task=8,
        mem_mb=asked_mem_mb,
        runtime=asked_runtime_min,
        attempt=attempt_number,
        ends_in_time=ENDS_IN_TIME,
        undisturbed=1,
    params:
        case=case_settings,
        measure_digest=MEASURE_DIGEST,
        env_digest=MEASURE_ENV_DIGEST,
        # Counts up with every failed attempt, so that the next run tries the case again.
        times_failed=times_failed,
    script:
        "../scripts/measure_case.py"
