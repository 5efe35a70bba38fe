"""The profiler on a real pipeline, at tiny scale."""

from example_cases import tiny_case
from wanbench.measure.wan.profile_kernels import STEPS, profile_case


def test_a_step_and_a_decoding_are_profiled_apart() -> None:
    profile = profile_case(tiny_case(), None)
    assert profile["of"] == "operators"
    assert profile["case"]["steps"] == STEPS
    step, decoding = profile["stages"]["Step"], profile["stages"]["VAE_Decoding"]
    counts = {row["class"]: row["count"] for row in step["classes"]}
    # Two passes through six blocks, each with attention to itself and to the prompt.
    assert counts["attention"] == 2 * 6 * 2
    assert counts["matmul"] == 2 * (6 * 10 + 6)
    assert counts["convolution"] == 2
    assert "matmul" not in {row["class"] for row in decoding["classes"]}
    assert {row["module"] for row in decoding["longest"]} & {
        "up_blocks.N.resnets.N.conv1",
        "up_blocks.N.resnets.N.conv2",
    }
    assert all(row["flops"] is None for row in step["classes"])
    assert 0 < step["busy_s"] <= step["profiled_s"]
    assert len([event for event in profile["traceEvents"] if event["ph"] == "X"]) == sum(counts.values())
