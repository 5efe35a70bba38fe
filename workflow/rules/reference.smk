# Reports of traces that were measured elsewhere and are kept with the project: results/reference/MACHINE/report.md


use rule tabulate as tabulate_reference with:
    input:
        traces=reference_traces,
    output:
        csv=expand("results/reference/{{machine}}/tables/{table}.csv", table=TABLES),
        parquet=expand("results/reference/{{machine}}/tables/{table}.parquet", table=TABLES),
    log:
        "logs/reference/{machine}/tabulate.log",
    params:
        expected=None,
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,


use rule report as report_reference with:
    input:
        cases="results/reference/{machine}/tables/cases.parquet",
        stages="results/reference/{machine}/tables/stages.parquet",
        details="results/reference/{machine}/tables/details.parquet",
        left_out="results/reference/{machine}/tables/left_out.parquet",
    output:
        "results/reference/{machine}/report.md",
    log:
        "logs/reference/{machine}/report.log",


use rule page as page_reference with:
    input:
        cases="results/reference/{machine}/tables/cases.parquet",
        stages="results/reference/{machine}/tables/stages.parquet",
        details="results/reference/{machine}/tables/details.parquet",
        left_out="results/reference/{machine}/tables/left_out.parquet",
        traces=reference_traces,
    output:
        "results/reference/{machine}/report.html",
    log:
        "logs/reference/{machine}/page.log",
