# Where there is an NVIDIA driver, what the fastest settings need: requirements-fast.txt has the reasons. The rest of the
# environment works without.
set -e
command -v nvidia-smi > /dev/null || exit 0
python -m pip install --quiet --no-deps xformers==0.0.34 nvidia-cuda-runtime-cu12==12.9.79 torchao==0.18.0
