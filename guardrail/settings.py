"""Settings of `guardrail`: one frozen model, read once from YAML by `load`, unknown keys rejected.

Secrets are named by environment variable (`api_key_env`), never written into the file.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guardrail.decision import OnLeak, RefusalStyle
from guardrail.errors import ConfigError
from retrieval.settings import RetrievalSettings

_SIZE = r"[1-9][0-9]{0,3}x[1-9][0-9]{0,3}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DrawingSettings(_Section):
    """How a `diffusers_pipeline` draws. What a caller asks for goes before what is set here, up to the limits."""

    steps: int | None = Field(default=None, ge=1, le=1000)
    """Denoising steps where the caller asks for none. Unset: the pipeline's own number."""

    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    """Guidance where the caller asks for none. Unset: the pipeline's own. Turbo models want 0."""

    size: str | None = Field(default=None, pattern=f"^{_SIZE}$")
    """Size where the caller asks for none, such as `512x512`. Unset: the pipeline's own."""

    sizes: tuple[str, ...] = ()
    """The only sizes that may be asked for, such as `[512x512, 768x512]`. Empty: any that the pipeline can draw."""

    max_edge: int = Field(default=2048, ge=8, le=8192)
    """Longest side of a picture, in pixels."""

    max_steps: int = Field(default=150, ge=1, le=1000)
    """Most denoising steps that a caller may ask for."""

    max_pictures: int = Field(default=10, ge=1, le=10)
    """Most pictures of one request."""

    at_once: int = Field(default=1, ge=1, le=10)
    """Pictures of one request that are drawn in one pass. With 1, each is what its seed gives alone, to the bit; a fast GPU
    draws more in the same time."""

    separate_process: bool = False
    """Draw in a process of its own: one that dies (no memory, a broken driver) is started again, and the proxy lives."""


class BackendSettings(_Section):
    """One served model source."""

    name: str = Field(min_length=1)
    """Label in metrics and errors."""

    kind: Literal["vllm_server", "litellm_provider", "transformers_local", "diffusers_pipeline", "echo"]
    """`vllm_server` is any OpenAI-compatible server. `diffusers_pipeline` draws pictures."""

    base_url: str | None = None
    """`vllm_server`: the server's address up to and without `/v1`."""

    models: dict[str, str] = Field(default_factory=dict)
    """Public model name -> the backend's own name. Empty: the backend's own names are public (asked at start)."""

    api_key_env: str | None = None
    """Environment variable that holds the upstream key."""

    connect_timeout_s: float = Field(default=5.0, gt=0)
    """Longest wait for a connection."""

    total_timeout_s: float = Field(default=600.0, gt=0)
    """Longest wait for a whole answer."""

    max_in_flight: int = Field(default=512, ge=1)
    """Requests under way at once; more are answered 503 with `retry-after`."""

    model: str | None = None
    """`transformers_local`: hub id, folder, GGUF file or `smollm2` (the packaged default).
    `diffusers_pipeline`: hub id or folder of a text-to-image pipeline, or `shapes` (the packaged default).
    `litellm_provider`: unused, see `models`."""

    adapter: str | None = None
    """`transformers_local`: folder of a LoRA adapter for `model`, as a consolidation run or peft writes it. It is merged
    into the weights in memory. A merged model needs none: its folder is the `model`."""

    restricts: bool = False
    """`vllm_server`: the server was started with `--logits-processors
    guardrail.decoding.vllm_processor:ExpungeRestriction` and keeps whole phrases from being written. `expunge doctor`
    tries it."""

    offsets: bool = False
    """`vllm_server`: the server was started with the same plug-in and `EXPUNGE_ASSISTANT`, the folder of a small model that
    knows only what is to be forgotten, for the treatment `offset`. `expunge doctor` tries it."""

    processed_logprobs: bool = False
    """`vllm_server`: the server was started with `--logprobs-mode processed_logprobs`, so that log-probabilities are those
    behind what restricts and offsets. Without it alternatives are left out wherever decoding was changed: raw ones would
    show what is forgotten, and that they are missing shows a treatment."""

    assistant: Path | None = None
    """`transformers_local`: that folder, loaded beside the model. Its tokenizer must be the model's."""

    embeddings: Path | None = None
    """Folder of the served model, for corrupted prompts (`eco`): only its input embeddings are read. `vllm_server`: the
    server was started with `--enable-prompt-embeds`. `transformers_local`: its own model's folder where nothing is set."""

    weights: Path | None = None
    """Folder of the served model's own weights, which consolidation trains on. Unset: the model's own folder, of a
    `vllm_server` what it names as the model's root."""

    device: str = "auto"
    """`transformers_local`: `auto`, `cpu`, `cuda`, `cuda:0` ...; of `diffusers_pipeline`, too."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`transformers_local`: `auto` is float32 on CPU and bfloat16 on GPU. Of `diffusers_pipeline`, too (float16
    where the GPU knows no bfloat16)."""

    max_concurrent: int = Field(default=4, ge=1)
    """`transformers_local`: answers generated at once, one token each in turn."""

    max_waiting: int = Field(default=64, ge=0)
    """`transformers_local`: requests that may wait; more are answered 429 with `retry-after`.
    Of `diffusers_pipeline`, too."""

    drawing: DrawingSettings = DrawingSettings()
    """`diffusers_pipeline`: how it draws."""

    edits: tuple[Path, ...] = ()
    """`diffusers_pipeline`: folders of edits of its weights (`expunge consolidate run`), which add up."""

    picture_hosts: tuple[str, ...] = ()
    """`vllm_server` and `litellm_provider`: hosts besides its own (that of `base_url`) from which a picture may be fetched
    that it answers by address, over https and at public addresses only."""

    negative_prompts: bool = False
    """`vllm_server`: pictures are led away from `negative_prompt`. Many servers take the field and ignore it, as do models
    without guidance. Without it treatments work on the prompt alone."""

    def api_key(self) -> str | None:
        """The upstream key from the environment, or None."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None


class PolicySettings(_Section):
    """Defaults for entries that do not say."""

    treatment: str = "ignorance"
    """Treatment of entries whose kind has none of its own below."""

    treatments_by_kind: dict[str, str] = Field(default_factory=lambda: {"hazard": "refusal"})
    """Kind -> treatment."""

    on_leak: OnLeak = OnLeak.REWRITE
    """What happens when forbidden text is about to leave: `rewrite`, `stop` or `redact`."""

    refusal_style: RefusalStyle = RefusalStyle.MESSAGE
    """How an open refusal looks: `message` (200, `message.refusal`), `text` (200, content), `error` (400)."""

    refusal_text: str = "I can't help with that."
    """Words of an open refusal."""

    embeddings: Literal["refuse", "pass"] = "refuse"
    """What happens to an embeddings request whose input touches an entry."""

    pictures_in_chats: Literal["refuse", "pass"] = "refuse"
    """What happens to chats and responses that ask for pictures or are answered with some, while an entry that covers
    pictures is in force for anybody: what holds for pictures is only carried out at `/v1/images/generations`."""

    pictures_by_address: Literal["pass", "refuse"] = "pass"
    """What happens to pictures that a chat or a response brings by address or by id, where a picture embedder or classifier
    is there: only those given as data URLs are looked at."""

    detector_failure: Literal["fail_closed", "fail_open"] = "fail_closed"
    """What happens when a detector fails or exceeds its timeout."""

    detector_timeout_s: float = Field(default=5.0, gt=0)
    """Longest time that detection may take for one request, and a verdict on pieces of an answer."""

    picture_gate: float | None = Field(default=None, gt=0, le=1)
    """Prompts for pictures in which nothing was met are held against the entries in the space of the pipeline's own text
    encoder as well, which sees descriptions and adversarial prompts; an entry is taken out from this presence on (0: as in
    ordinary prompts, 1: as in prompts that name it; try 0.3). Unset: not. Only for a `diffusers_pipeline`."""

    shadow: bool = False
    """Decide and record only, for every entry: what callers get is not changed. `GET /v1/forget/shadow-report` then tells
    what would have been."""

    judged_statements: int = Field(default=16, ge=0)
    """How many statements of a text are judged by meaning where the request may touch an entry; those behind are only
    searched for names, aliases and facts. 0 judges none."""


class AuthSettings(_Section):
    """Who may call."""

    required: bool = False
    """Ask for a key on both listeners. Without keys the proxy only binds to loopback addresses."""


class ServerSettings(_Section):
    """Listeners and limits."""

    host: str = "127.0.0.1"
    """Address of the OpenAI-compatible listener."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port of the OpenAI-compatible listener."""

    admin_host: str = "127.0.0.1"
    """Address of the admin listener."""

    admin_port: int = Field(default=8001, ge=0, le=65535)
    """Port of the admin listener."""

    workers: int = Field(default=1, ge=1)
    """Processes that serve the OpenAI-compatible listener."""

    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """Larger request bodies are answered 413."""

    keep_alive_comment_s: float = Field(default=15.0, gt=0)
    """Silence in a stream after which an SSE comment is sent."""

    drain_s: float = Field(default=30.0, ge=0)
    """How long a stopping server waits for answers under way."""

    max_held_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """Most bytes of one answer that may be buffered; a longer non-streamed answer that must be inspected is a 502."""


class MemorySettings(_Section):
    """What is remembered of an entry beyond what the operator gives."""

    elicitation: bool = False
    """Ask the served model, once for each new entry and in the background, for other names, facts, questions and near
    neighbours. The entry is enforced before. Needs an embedder."""

    elicitation_model: str | None = None
    """Public name of the model that is asked; the first by name otherwise."""

    elicitation_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait for one answer; there are four questions an entry."""

    elicitation_tokens: int = Field(default=256, ge=16)
    """Longest answer to one question."""


class ConsolidationSettings(_Section):
    """What is done about entries that weights cover."""

    verify: bool = True
    """Ask the served weights themselves, past the guard, about entries that they cover. Those that they do not know any
    more are verified: requests that touch them are not treated, and only answers are looked at."""

    probes: int = Field(default=12, ge=1)
    """Questions for each entry, at most."""

    most_leaks: float = Field(default=0.0, ge=0, le=1)
    """Share of the answers that may leak."""

    again_after_hours: float = Field(default=24.0, gt=0)
    """How long until a verified entry is asked about again."""


class AuditSettings(_Section):
    """What the audit log keeps."""

    decisions: Literal["all", "matched"] = "all"
    """`all`: every decision taken while an entry is in the caller's scope. `matched`: only those that met an entry."""

    include_prompts: bool = False
    """Keep the prompt's text with decisions. Off: ids, revisions, scores and timing only."""


class Settings(_Section):
    """The whole configuration of a proxy."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    backends: tuple[BackendSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    memory: MemorySettings = MemorySettings()
    consolidation: ConsolidationSettings = ConsolidationSettings()
    audit: AuditSettings = AuditSettings()

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = [backend.name for backend in self.backends]
        if len(set(names)) != len(names):
            raise ValueError("backends: two backends have the same name; give each its own")
        for backend in self.backends:
            for wrong in _wrong_with(backend):
                raise ValueError(f"backends: '{backend.name}' {wrong}")
            if backend.kind in ("transformers_local", "diffusers_pipeline") and self.server.workers > 1:
                raise ValueError(f"server.workers: {backend.kind} holds the model in one process; set workers: 1")
        public = [name for backend in self.backends for name in backend.models]
        for name in public:
            if public.count(name) > 1:
                raise ValueError(f"backends: two backends serve the public model name '{name}'; rename one")
        if not self.auth.required:
            for key in ("host", "admin_host"):
                if not is_loopback(getattr(self.server, key)):
                    raise ValueError(f"server.{key}: without keys only loopback is served; set auth.required: true")
        return self


def _wrong_with(backend: BackendSettings) -> Iterator[str]:
    """What does not fit a backend's kind."""
    kind = backend.kind
    if kind == "vllm_server" and not backend.base_url:
        yield "needs base_url, such as http://127.0.0.1:8100"
    if kind == "litellm_provider" and not backend.models:
        yield "needs models, such as {gpt: openai/gpt-4o}"
    if backend.adapter is not None and kind != "transformers_local":
        yield (
            "is no transformers_local and loads no adapter; a vLLM server is given its adapters by --lora-modules, and "
            "`models` then names them"
        )
    if backend.embeddings is not None and kind not in ("vllm_server", "transformers_local"):
        yield "is neither vllm_server nor transformers_local and takes no embeddings; leave embeddings out"
    if backend.assistant is not None and kind != "transformers_local":
        yield (
            "is no transformers_local and loads no assistant; a vLLM server is given it by the variable EXPUNGE_ASSISTANT, "
            "and `offsets: true` says so"
        )
    if backend.offsets and kind != "vllm_server":
        yield "is no vllm_server; leave offsets out: transformers_local takes an assistant, and other kinds cannot"
    yield from _wrong_with_pictures(backend)
    if backend.processed_logprobs and kind != "vllm_server":
        yield "is no vllm_server; leave processed_logprobs out: transformers_local has them anyway, other kinds have not"
    if backend.restricts and kind != "vllm_server":
        yield "is no vllm_server; leave restricts out: transformers_local restricts without it, and other kinds cannot"


def _wrong_with_pictures(backend: BackendSettings) -> Iterator[str]:
    kind = backend.kind
    if backend.drawing != DrawingSettings() and kind != "diffusers_pipeline":
        yield "is no diffusers_pipeline and draws nothing itself; leave drawing out"
    if backend.edits and kind != "diffusers_pipeline":
        yield "is no diffusers_pipeline; leave edits out: weights of a served language model are edited by an adapter"
    if backend.picture_hosts and kind not in ("vllm_server", "litellm_provider"):
        yield "draws itself or not at all; leave picture_hosts out: only an image server's answers hold addresses to follow"
    if backend.negative_prompts and kind != "vllm_server":
        yield "is no vllm_server; leave negative_prompts out: of a pipeline it is known, and other kinds cannot"
    if any(re.fullmatch(_SIZE, size) is None for size in backend.drawing.sizes):
        yield "has drawing.sizes that are no sizes; write them as WIDTHxHEIGHT in pixels, such as 512x512"


def is_loopback(host: str) -> bool:
    """True for localhost and loopback addresses."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse(data: Any, *, origin: str = "configuration") -> Settings:
    """Build settings from decoded YAML; raises `ConfigError` naming the first wrong key."""
    try:
        return Settings.model_validate(data or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{origin}: {key + ': ' if key else ''}{message}") from None


def load(path: Path) -> Settings:
    """Read a YAML file; raises `ConfigError` if it is missing, broken or wrong."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `expunge init` writes one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    return parse(data, origin=str(path))
