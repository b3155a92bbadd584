#!/usr/bin/env bash
# Serve a model folder with vLLM on the CPU; further arguments go to vLLM as they are.
# usage: serve.sh PYTHON MODEL_DIR PORT [VLLM_ARGUMENT ...]
# EXPUNGE_VLLM_THREADS sets its threads (all cores by default), VLLM_CPU_KVCACHE_SPACE its cache in GiB (1 by default).
set -euo pipefail
python=$1 model=$2 port=$3
shift 3

export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
# Bound threads starve whatever shares the cores with the server, such as the proxy.
export VLLM_CPU_OMP_THREADS_BIND="${VLLM_CPU_OMP_THREADS_BIND:-nobind}"
export OMP_NUM_THREADS="${EXPUNGE_VLLM_THREADS:-$(nproc)}"

# float32: in bfloat16 small models answer fluent nonsense on CPUs without native support.
# --enforce-eager: compiling the graph takes longer than a test session gains from it.
# --logprobs-mode: raw ones, vLLM's own choice, would show how much likelier what is kept from being written is.
exec "$python" -m vllm.entrypoints.openai.api_server \
  --model "$model" --served-model-name smollm2 --dtype float32 \
  --host 127.0.0.1 --port "$port" --max-model-len 2048 --max-num-seqs 16 --enforce-eager \
  --logprobs-mode processed_logprobs "$@"
