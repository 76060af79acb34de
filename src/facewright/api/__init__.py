"""The public surface: one function per verb, typed arguments in, plain results out, FacewrightError on failure.

Stages are imported inside the functions, so that asking for help loads none of them.
"""

from facewright.api.machine import doctor, weights_fetch, weights_list, weights_verify
from facewright.api.road import (
    demo,
    extract,
    extractions,
    merge,
    merge_places,
    new,
    render,
    render_places,
    train,
)
from facewright.api.sets import faces_forget_identity, faces_info
from facewright.api.steering import STEPS, jobs_list, jobs_request, jobs_resume, jobs_set, jobs_watch
from facewright.api.trust import (
    consent_check,
    consent_list,
    consent_new,
    consent_revoke,
    consent_show,
    faces_consent,
    ledger_show,
    ledger_verify,
    trust_at,
    verify,
)

__all__ = [
    "STEPS",
    "consent_check",
    "consent_list",
    "consent_new",
    "consent_revoke",
    "consent_show",
    "demo",
    "doctor",
    "extract",
    "extractions",
    "faces_consent",
    "faces_forget_identity",
    "faces_info",
    "jobs_list",
    "jobs_request",
    "jobs_resume",
    "jobs_set",
    "jobs_watch",
    "ledger_show",
    "ledger_verify",
    "merge",
    "merge_places",
    "new",
    "render",
    "render_places",
    "train",
    "trust_at",
    "verify",
    "weights_fetch",
    "weights_list",
    "weights_verify",
]
