rule report:
    input:
        cases="results/tables/cases.parquet",
        stages="results/tables/stages.parquet",
        details="results/tables/details.parquet",
        excluded="results/tables/excluded.parquet",
    output:
        report="results/report.md",
        findings_csv=report(
            "results/tables/findings.csv",
            caption="../report/findings.rst",
            category="Tables",
            labels={"table": "findings"},
        ),
        findings="results/tables/findings.parquet",
    log:
        "logs/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        thresholds=THRESHOLDS,
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/write_report.py"


rule page:
    input:
        cases="results/tables/cases.parquet",
        stages="results/tables/stages.parquet",
        details="results/tables/details.parquet",
        excluded="results/tables/excluded.parquet",
        findings="results/tables/findings.parquet",
        traces=expand("results/traces/{case}.json", case=CASES),
        pictures=["results/plots/pictures.json", *expand("results/plots/{case}/pictures.json", case=CASES)],
    output:
        report("results/report.html", caption="../report/page.rst", category="Report", labels={"report": "all cases"}),
    log:
        "logs/page.log",
    conda:
        "../../envs/report.yaml"
    params:
        thresholds=THRESHOLDS,
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/write_page.py"


rule outcome:
    input:
        cases="results/tables/cases.parquet",
        excluded="results/tables/excluded.parquet",
        findings="results/tables/findings.parquet",
        # The report is made before a failed case can end the run.
        report="results/report.md",
        page="results/report.html",
    output:
        "results/outcome.json",
    log:
        "logs/outcome.log",
    # It fails when a case did, and would again.
    retries: 0
    conda:
        "../../envs/report.yaml"
    params:
        grid=shown_path(GRID_FILE),
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/check_outcome.py"
