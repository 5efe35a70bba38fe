"""Classes of kernels, and which names are of which.

The names are those of torch 2.11 with CUDA 13 (cuBLAS, cuDNN 9, Triton), as profiled here, and those that public profiles
have of NCCL, FlashAttention 2, SageAttention, 8-bit products, and cuBLAS and cuDNN on older GPUs: the test has them with
their sources. On a CPU, where there are no kernels, they are those of torch's operators.
"""

import re

# By key: how the report calls it.
KERNEL_CLASSES = {
    "attention": "attention",
    "matmul": "matrix products, 16 bits",
    "matmul_float8": "matrix products, float8",
    "matmul_int8": "matrix products, int8",
    "matmul_float32": "matrix products, float32",
    "convolution": "convolutions",
    "elementwise": "normalisation and elementwise",
    "copy": "copies and layout changes",
    "transfer": "transfers between host and GPU",
    "communication": "communication between GPUs",
    "other": "other",
}
_ELEMENTWISE = "elementwise|reduce|norm|softmax|[gs]elu|silu|upsample|interp|scatter|gather|index|arange|fill|scan|sort|clamp|quant|scale"
_OPERATORS = (
    "(mul|add|sub|div|neg|pow|mean|sum|rsqrt|sqrt|exp|expm1|sin|cos|outer|sigmoid|tanh|abs|floor|round|where)_?$"
)

# The first whose pattern is found in a name, without regard to case, has the kernel. What Triton fused is named by all
# of its operators, so it comes first. cuBLAS names types by letters: h and t have 16 bits, s 32, q is float8. Its
# s1688gemm is of 16 bits where fp16 or bf16 stands beside it, and of TF32 else.
# fmt: off
_PATTERNS = tuple((key, re.compile(pattern, re.IGNORECASE)) for key, pattern in (
    ("communication", r"nccl|c10d::"),
    ("matmul_float8", r"triton_tem_.*scaled_mm"),
    ("matmul_int8", r"triton_tem_.*int_mm"),
    ("matmul", r"triton_tem_.*(mm|matmul)"),
    ("attention", r"triton_tem_.*attention"),
    ("copy", r"triton_poi_fused_(_?to_copy|copy|clone|cat|permute|transpose|view|constant_pad_nd|_|\d)*$"),
    ("elementwise", r"triton_(poi|red|per)_"),
    ("transfer", r"memcpy (htod|dtoh)"),
    ("attention", r"flash|fmha|sdpa|attention|attn"),
    ("convolution", r"fprop|implicit_gemm|dgrad|wgrad|im2col|vol2col|::_?conv(olution)?[23]?d?$|::\w*_convolution|conv\w*_kernel|convolve|[hs]\d*cudnn_"),
    ("copy", r"memcpy|memset|copy|nchwtonhwc|nhwctonchw|transpose|permute|::(cat|clone|contiguous|pad|stack|repeat)$"),
    ("matmul_float8", r"nvjet_(sm\d+_)?q[a-z]+_|e4m3|float8|f8f8|scaled_mm"),
    ("matmul_int8", r"_int_mm|i8816|i16832|gemm_(s|i|int)8|int8_t.*gemm|gemm.*int8_t"),
    ("matmul_float32", r"nvjet_(sm\d+_)?s[a-z]{2}_|sgemm|gemm_f32f32|tf32gemm|(?<![fp]16_)s1688gemm(?!_b?fp?16)|gemv\w*(::kernel)?<int, int, float, float"),
    ("matmul", r"nvjet|gemm|gemv|splitk|::(linear|matmul|addmm|mm|bmm|baddbmm|mv)$"),
    ("elementwise", f"{_ELEMENTWISE}|::{_OPERATORS}"),
    ("other", ""),
))
# fmt: on


def class_of(kernel: str) -> str:
    """Key of a kernel's class, by its name."""
    return next(key for key, pattern in _PATTERNS if pattern.search(kernel))
