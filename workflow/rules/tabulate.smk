TABLES = ["cases", "stages", "details", "excluded"]
EXPECTED = {"case_sha256": CASE_SHA256, "measure": MEASURE_DIGEST, "env": MEASURE_ENV_DIGEST}


rule tabulate:
    input:
        traces=expand("results/traces/{case}.json", case=CASES),
    output:
        csv=[
            report(
                f"results/tables/{table}.csv",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": table},
            )
            for table in TABLES
        ],
        parquet=expand("results/tables/{table}.parquet", table=TABLES),
    log:
        "logs/tabulate.log",
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        # A function of `input` is what Snakemake does not compare, and so does not print at length where it changed.
        expected=lambda wildcards, input: EXPECTED,
        expected_digest=value_digest(EXPECTED),
        others=OTHER_TRACES,
        # Every case of the grid is measured before.
        without_trace=([], ""),
        limits=LIMITS,
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/tabulate_traces.py"
