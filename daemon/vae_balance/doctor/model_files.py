"""The models and the classifier: which there are, and whether their files are whole."""

from __future__ import annotations

from collections.abc import Iterator

from vae_balance.correctors.classifier_weights import (
    DISTRIBUTION,
    VERSION,
    WeightsError,
    whole_weights,
)
from vae_balance.doctor.finding import INSTALL_AGAIN, Finding
from vae_balance.errors import ModelError
from vae_balance.models.store import EMBEDDED, comes_with_program, list_models, verify_files


def model_findings() -> Iterator[Finding]:
    """Look at each model that has weights."""
    try:
        models = list_models()
    except ModelError as error:  # the embedded one has no description
        yield Finding(f"model {EMBEDDED}", str(error), INSTALL_AGAIN)
        return
    for info in models:
        subject = f"model {info.name}"
        try:
            verify_files(info)
        except ModelError as error:
            own = f"put a whole copy of it into {info.folder}, or remove that folder"
            yield Finding(subject, str(error), INSTALL_AGAIN if comes_with_program(info) else own)
        else:
            count = len(info.sha256)
            if count:  # the classical corrections have no weights
                yield Finding(subject, f"version {info.version}, all {count} checksums are right")


def classifier_finding() -> Finding:
    """Look at the weights of the classifier that the embedded model is fused with."""
    try:
        whole_weights()
    except WeightsError as error:
        return Finding("classifier", error.finding, error.mend)
    return Finding("classifier", f"{DISTRIBUTION} {VERSION}, its checksum is right")
