"""The composition root's part for pictures: the picture flow and the warm-up over what the proxy has. Knows no request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from guardrail.backends.protocol import Backend
from guardrail.backends.router import Router
from guardrail.detectors.pictures import PictureInputs
from guardrail.flow import Flow
from guardrail.inspectors.image_concept import ImageConcept
from guardrail.journal import Journal
from guardrail.picture_flow import PictureFlow, Watch
from guardrail.picture_planning import PicturePlanner
from guardrail.picture_warming import PictureWarming
from guardrail.policy import PICTURE_AUTO, PICTURE_AUTO_BY_KIND, PICTURE_LADDER
from guardrail.settings import Settings
from guardrail.treatments.image import PICTURE_TREATMENTS
from retrieval.entry import RegisteredEntry
from retrieval.follower import Follower
from retrieval.pictures import PictureBook


def picture_flow(
    settings: Settings,
    flow: Flow,
    *,
    router: Router,
    follower: Follower,
    journal: Journal,
    book: PictureBook,
    entry_ids: Callable[[], Collection[str]],
) -> PictureFlow:
    """The flow; the policy's default treatment holds for pictures where it is known for them."""
    policy = settings.policy
    inspector = ImageConcept(
        search=book.search,
        timeout_s=policy.detector_timeout_s,
        fails_open=policy.detector_failure == "fail_open",
        on_failure=lambda: journal.detector_failed("image", policy.detector_failure),
        is_on=lambda: book.is_on,
    )
    return PictureFlow(
        flow=flow,
        follower=follower,
        router=router,
        journal=journal,
        planner=PicturePlanner(policy=policy, otherwise=policy.treatment),
        inspector=inspector,
        backends={backend.name: backend for backend in settings.backends},
        watch=Watch(entry_ids=entry_ids, gate=policy.picture_gate) if policy.picture_gate is not None else None,
    )


def picture_inputs(settings: Settings, book: PictureBook) -> PictureInputs:
    """What looks at pictures that callers hand in."""
    policy = settings.policy
    return PictureInputs(
        search=book.search,
        is_on=lambda: book.is_on,
        by_address=policy.pictures_by_address,
        timeout_s=policy.detector_timeout_s,
    )


def picture_warming(
    settings: Settings, backends: Sequence[Backend], entries: Callable[[], Mapping[str, RegisteredEntry]]
) -> PictureWarming:
    """The warm-up, by the same plans as the flow's. `backends`: themselves, as a wrapped one does not tell what it can."""
    policy = settings.policy
    return PictureWarming(
        planner=PicturePlanner(policy=policy, otherwise=policy.treatment),
        backends=backends,
        entries=entries,
        is_watched=policy.picture_gate is not None,
    )


def known_picture_treatments() -> tuple[str, ...]:
    """What a decision may name for pictures."""
    ladder = (*PICTURE_LADDER, *PICTURE_LADDER.values(), *PICTURE_AUTO_BY_KIND.values())
    return tuple(dict.fromkeys((*PICTURE_TREATMENTS, PICTURE_AUTO, *ladder)))
