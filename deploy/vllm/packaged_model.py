"""Print the folder of the packaged SmolLM2, made from its GGUF on the first call, for `serve.sh`."""

from __future__ import annotations

import sys

from guardrail.backends.local_model import PACKAGED, resolve

if __name__ == "__main__":
    sys.stdout.write(resolve(PACKAGED) + "\n")
