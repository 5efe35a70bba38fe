"""Kernels of a step and of a decoding: classes, gaps, modules, and figures of profiles recorded on an H200."""

from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from example_cases import full_case
from reports import kept, view
from wanbench.analysis.kernels import longest_kernels_table, read_profile
from wanbench.estimate.duration import architecture
from wanbench.models.flops import class_flops, stage_flops
from wanbench.registry.kernel_classes import KERNEL_CLASSES, class_of
from wanbench.report.page import to_page
from wanbench.trace.kernel_profile import Kernel, kernels_of, perfetto_events, stage_profile

KEPT = sorted((ROOT / "results/reference/h200/kernels").glob("*.json.gz"))


# Those that stood in profiles of H200s and are not among the longest, and those that others published, by source.
NAMES = {
    "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1_kernel0_0": "attention",
    "nvjet_sm90_qqtst_128x256_128x6_2x1_v_bz_TNT": "matmul_float8",
    "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize128x128x8_stage3_warpsize2x2x1_ffma_cublas": "matmul_float32",
    "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_256x64_16x4_nn_align4>": "matmul_float32",
    "internal::gemvx::kernel<int, int, float, float, float, float, false, true>": "matmul_float32",
    "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x32": "convolution",
    "triton_red_fused__fused_rms_norm__scaled_dot_product_cudnn_attention_permute_view_3": "elementwise",
    "triton_poi_fused_clone_permute_2": "copy",
    "void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, false, true, (cudnnKerne": "copy",
    "Memcpy DtoD (Device -> Device)": "copy",
    "Memcpy HtoD (Pageable -> Device)": "transfer",
    "void getrf_pivot<getrf_params_<float, 32, 1, 32, 32, 1> >(int, int, int, void*, int, long*)": "other",
    # https://github.com/karpathy/nanochat/pull/105 (RTX 3060)
    "ampere_bf16_s1688gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn": "matmul",
    # https://github.com/pytorch/pytorch/issues/187094 (GB300)
    "cutlass3x_sm100_tensorop_s256x256x8tf32gemm_f32_": "matmul_float32",
    "cutlass::Kernel2<cutlass_80_wmma_tensorop_i161616gemm_s8_forwardCompat_128x128_32x2_nn_align4>": "matmul_int8",
    # https://gist.github.com/dcslin/aa90e5258724cb9add9e9d67ae43e5fd (Turing)
    "volta_sgemm_128x64_nt": "matmul_float32",
    "volta_fp16_scudnn_fp16_128x128_stridedB_splitK_interior_nn_v1": "convolution",
    # https://github.com/Dao-AILab/flash-attention/issues/1202 (Orin), cut
    "void flash_fwd_kernel<Flash_fwd_kernel_traits<(int)32, (int)128, (int)128, (int)4, (bool)0, (bool)0": "attention",
    # https://github.com/NVIDIA/Fuser/pull/4873 (Hopper)
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<(unsigned long)4096>)": "communication",
    # https://github.com/thu-ml/SageAttention, csrc/qattn and csrc/fused
    "void qk_int_sv_f8_attn_kernel<128u, 64u, 32u, 64u, 128u, (DataType)1>": "attention",
    "void QuantInt8Kernel<128u, 32u, 1u, false, false, __nv_bfloat16>": "elementwise",
    "void MeanScaleKernel<64u, false, __nv_bfloat16>": "elementwise",
    # By a search in public repositories, which does not say which.
    "triton_tem_fused__scaled_mm_0": "matmul_float8",
    "sm89_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize128x64x64_stage4_warpsize2x2x1_tensor16x8x32": "matmul_float8",
    "sm90_xmma_gemm_i8i32_i8i32_i32_tn_n_tilesize256x128x128_warpgroupsize2x1x1": "matmul_int8",
    "ampere_igemm_int8_128x128_ldg4_nn": "matmul_int8",
    "nvjet_sss_tf32_128x256_TNT": "matmul_float32",
    "void implicit_convolve_sgemm<float, float, (int)1024, (int)5": "convolution",
}


def test_class_of_a_name() -> None:
    assert {name: class_of(name) for name in NAMES} == NAMES


def complete(name: str, category: str, start_us: float, time_us: float, thread: int = 1, **args: Any) -> dict[str, Any]:
    event = {"ph": "X", "name": name, "cat": category, "ts": start_us, "dur": time_us, "tid": thread}
    return event | {"args": {key.replace("_id", " id"): value for key, value in args.items()}}


def test_a_kernel_knows_its_shapes_and_the_innermost_module_that_launched_it() -> None:
    events = [
        complete("blocks.N", "user_annotation", 0, 100),
        complete("blocks.N.ffn", "user_annotation", 10, 20),
        complete("aten::mm", "cpu_op", 12, 10, External_id=7, **{"Input Dims": [[2, 3], [3, 4]]}),
        complete("cudaLaunchKernel", "cuda_runtime", 13, 1, correlation=1),
        complete("cudaLaunchKernel", "cuda_runtime", 50, 1, correlation=2),
        complete("nvjet_sm90_tst_x", "kernel", 200, 5, correlation=1, stream=7, External_id=7),
        complete("direct_copy_kernel", "kernel", 190, 5, correlation=2, stream=7),
    ]
    kernels, on_gpu = kernels_of(events)
    assert on_gpu
    assert kernels == [
        Kernel("direct_copy_kernel", 190, 195, 7, "", "blocks.N"),
        Kernel("nvjet_sm90_tst_x", 200, 205, 7, "[[2, 3], [3, 4]]", "blocks.N.ffn"),
    ]


def test_without_a_gpu_operators_that_no_other_calls_stand_for_kernels() -> None:
    events = [
        complete("aten::linear", "cpu_op", 0, 10),
        complete("aten::addmm", "cpu_op", 1, 8),
        complete("aten::mul", "cpu_op", 12, 2),
        complete("aten::item", "cpu_op", 0, 2, thread=2),
    ]
    kernels, on_gpu = kernels_of(events)
    assert not on_gpu
    assert [kernel.name for kernel in kernels] == ["aten::linear", "aten::mul"]


def test_gaps_and_the_overlap_of_streams() -> None:
    kernels = [
        Kernel("nvjet_sm90_tst_a", 0, 10, 7),
        Kernel("Memcpy HtoD (Pinned -> Device)", 5, 15, 8),
        Kernel("nvjet_sm90_tst_a", 20, 30, 7),
    ]
    figures = stage_profile(kernels, 35e-6, 30e-6, {"matmul": 1000})
    assert figures["busy_s"] == pytest.approx(25e-6)
    assert figures["overlap_s"] == pytest.approx(5e-6)
    assert (figures["gap_s"], figures["gaps"]) == (pytest.approx(5e-6), 1)
    classes = [(row["class"], row["count"], row["flops"]) for row in figures["classes"]]
    assert classes == [("matmul", 2, 1000), ("transfer", 1, None)]
    assert figures["longest"][0]["time_s"] == pytest.approx(20e-6)


def test_perfetto_shows_a_track_for_each_stream() -> None:
    events = perfetto_events([Kernel("nvjet_a", 1000, 1010, 7), Kernel("Memcpy HtoD", 1005, 1020, 8)], on_gpu=True)
    tracks = [event["args"]["name"] for event in events if event["ph"] == "M"]
    assert tracks == ["kernels of stream 7", "kernels of stream 8"]
    shown = [(event["tid"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"]
    assert shown == [(7, 0, 10), (8, 5, 15)]


@pytest.mark.parametrize("model", ["TI2V-5B", "T2V-A14B"])
def test_operations_by_class_are_those_of_the_stages(model: str) -> None:
    case, pipe = full_case(model=model), architecture(model)
    by_class, stages = class_flops(pipe, case), stage_flops(pipe, case)
    assert sum(by_class["Step"].values()) == stages.step
    assert sum(by_class["VAE_Decoding"].values()) == stages.vae_decoding


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.name.split(".")[0])
def test_kept_profiles_add_up_to_the_step(file: Path) -> None:
    profile = read_profile(file)
    for stage in profile["stages"].values():
        assert stage["busy_s"] + stage["gap_s"] == pytest.approx(stage["profiled_s"], rel=0.01)
        assert sum(row["time_s"] for row in stage["classes"]) == pytest.approx(stage["busy_s"] + stage["overlap_s"])
        # What the profiler costs.
        assert stage["profiled_s"] == pytest.approx(stage["unprofiled_s"], rel=0.02)
        unknown = sum(row["time_s"] for row in stage["classes"] if row["class"] == "other")
        assert unknown < 0.02 * stage["profiled_s"]
        assert {row["class"] for row in stage["classes"]} <= KERNEL_CLASSES.keys()
        assert [class_of(row["name"]) for row in stage["longest"]] == [row["class"] for row in stage["longest"]]


def test_the_page_folds_the_longest_kernels_and_takes_no_markup_from_their_names() -> None:
    name = "5B_704p_stock"
    (file,) = (file for file in KEPT if file.name.startswith(f"{name}."))
    rows = longest_kernels_table([(name, read_profile(file))]).to_dict("records")
    rows[0] |= {"kernel": "void <script>alert(1)</script>", "module": None}
    trace = kept(name)
    folded = to_page(view(trace), {}, {name: rows}).split("<details>")[-1].split("</details>")[0]
    assert folded.count("<tr>") == 21
    assert "blocks.N.ffn.net.N.proj" in folded
    assert "<script>" not in folded
    assert "&lt;script&gt;" in folded
    assert "The longest kernels" not in to_page(view(trace), {})
