rule measure:
    output:
        trace="results/traces/{case}.json",
    log:
        "logs/measure/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        **ASKED,
        attempt=attempt_number,
        undisturbed=1,
    params:
        case=case_identity,
        measure_digest=MEASURE_DIGEST,
        env_digest=MEASURE_ENV_DIGEST,
        # Counts up with every failed attempt, so that the next run tries the case again.
        times_failed=times_failed,
    script:
        "../scripts/measure_case.py"
