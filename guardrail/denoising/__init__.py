"""What happens inside a diffusion pipeline for a treated request: text states, hooks on the denoiser, concept banks.

Only diffusers' public interface is used. Nothing here knows entries, policies, queues or the wire.
"""
