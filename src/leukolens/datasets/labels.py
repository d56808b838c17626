"""What publishers and laboratories call the cell classes in folder names and tables."""

from __future__ import annotations

import re

from leukolens.taxonomy import CLASSES

_ALSO = {
    "neutrophil": "neutrophils neu neut ne n pmn segmented segmentedneutrophil seg sne band bandneutrophil bne",
    "eosinophil": "eosinophils eos eo e",
    "basophil": "basophils bas baso ba b",
    "lymphocyte": "lymphocytes lym lymph ly l",
    "monocyte": "monocytes mon mono mo m",
    "immature_granulocyte": (
        "immaturegranulocytes ig igs promyelocyte pmy myelocyte my metamyelocyte mmy promyelocytes myelocytes "
        "metamyelocytes i"
    ),
    "other": (
        "others erythroblast erythroblasts erb normoblast nrbc nucleatedredcell platelet platelets plt "
        "artefact artifact smudge smudgecell x"
    ),
}

_CLASS_OF = {
    **{alias: key for key, aliases in _ALSO.items() for alias in aliases.split()},
    **{re.sub(r"[^a-z]", "", cell.key): cell.key for cell in CLASSES},
    **{re.sub(r"[^a-z]", "", cell.name.lower()): cell.key for cell in CLASSES},
}


def class_called(name: str) -> str | None:
    """The class key for a publisher's word, whatever its case, spaces and hyphens; None where it is unknown.

    Stages of the neutrophil line follow the differential: bands count as neutrophils; promyelocytes,
    myelocytes and metamyelocytes are immature granulocytes. Blasts are no class here, so unknown.
    """
    return _CLASS_OF.get(re.sub(r"[^a-z]", "", name.lower()))
