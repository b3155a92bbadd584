#!/usr/bin/env bash
# Make an environment that holds a vLLM server for CPUs, apart from the proxy's own.
# usage: install.sh PYTHON VENV TORCH_REQUIREMENT VLLM_REQUIREMENT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$1 venv=$2 torch=$3 vllm=$4

test -x "$venv/bin/python" || "$python" -m venv "$venv"
echo "Installing $vllm into $venv; this takes a few minutes the first time." >&2
"$venv/bin/python" -m pip install -q -c constraints-vllm.txt "$torch"
"$venv/bin/python" -m pip install -q -c constraints-vllm.txt "$vllm"
# These are required by name but come built for CUDA: with a CPU torch their import fails, and text needs none of them.
"$venv/bin/python" -m pip uninstall -q -y torchvision torchaudio torchcodec
"$venv/bin/python" -c 'import torch, vllm' >/dev/null 2>&1 \
  || { echo "vLLM does not import in $venv; remove that folder and run make vllm again" >&2; exit 1; }
