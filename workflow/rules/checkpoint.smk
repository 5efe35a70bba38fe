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
        undisturbed=UNDISTURBED,
    script:
        "../scripts/write_checkpoint.py"
