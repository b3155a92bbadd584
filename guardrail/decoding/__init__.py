"""Changes while tokens are chosen: forbidden phrases never get written, and what an assistant expects is taken off.

Read in this order: `phrase_bans` (the rule: which tokens may come next), `phrase_trie` (what is forbidden, letter by
letter), `vocabulary` and `tokenizer_pieces` (what each token writes), `request` (what a request asks and how it travels
to vLLM), `sequences` (the rule on tensors), `local` (the embedded backend), `assistant` (the offset, on tensors), `changes`
(both on one answer), `batches` and `vllm_processor` (in vLLM).

Nothing here imports more of guardrail than this package: vLLM loads it into its own process.
"""
