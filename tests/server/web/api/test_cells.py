"""Cells by the API: listed, named, struck out, drawn, undone; the differential counts along, and two read alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leukolens.differential.counts import ClassCount, Differential, Flag, Share
from leukolens.server.web.api import counts

Program = Callable[..., Any]
SHOWN = ["neutrophil", "lymphocyte", "unsure", "eosinophil", "other"]

UNFIT: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("labels", {"cells": [2**40], "label": "band"}, 404),
    ("labels", {"cells": [-1], "label": "band"}, 404),
    ("labels", {"cells": [], "label": "band"}, 422),
    ("labels", {"cells": [1], "label": "no such"}, 422),
    ("labels", {"cells": ["1"], "label": "band"}, 422),
    ("labels", {"cells": [1] * 20_001, "label": "band"}, 422),
    ("cells", {"field": 9, "box": [0, 0, 20, 20]}, 404),
    ("cells", {"field": 1, "box": [0, 0, 20, 10**30]}, 422),
    ("cells", {"field": 1, "box": [0, 0, 20]}, 422),
)


@pytest.fixture
def client(program: Program) -> Any:
    return program("reader")


@pytest.fixture
def ids(client: Any, sample: str) -> list[int]:
    return [cell["id"] for cell in client.get(f"samples/{sample}/cells").json()["cells"]]


def labels(client: Any, sample: str) -> list[str]:
    return [cell["label"] for cell in client.get(f"samples/{sample}/cells").json()["cells"]]


class TestList:
    def test_each_has_what_it_is_shown_as_and_what_the_machine_says(self, client: Any, sample: str) -> None:
        cells = client.get(f"samples/{sample}/cells").json()["cells"]
        assert [cell["label"] for cell in cells] == SHOWN
        first, _, unsure, edge, _ = cells
        assert (first["field"], first["box"], first["reviewed"]) == (1, [20, 40, 60, 80], False)
        machine = unsure["machine"]
        assert (machine["label"], machine["most_probable"]) == ("unsure", "monocyte")
        assert (machine["probability"], machine["decision"]) == (0.6, "review")
        assert sum(machine["probabilities"].values()) == pytest.approx(1)
        assert (edge["at_edge"], first["at_edge"], first["drawn"]) == (True, False, False)
        assert client.get(f"samples/{sample}/cells/{unsure['id']}").json() == unsure
        picture = client.get(f"samples/{sample}/cells/{unsure['id']}/picture")
        assert (picture.content, picture.headers["content-type"]) == (b"\xff\xd8\xffcrop", "image/jpeg")

    def test_it_is_turned_page_by_page_and_filtered_by_what_cells_are_shown_as(
        self, client: Any, sample: str, ids: list[int]
    ) -> None:
        address = f"samples/{sample}/cells"
        page = client.get(address, params={"limit": 3}).json()
        assert ([cell["id"] for cell in page["cells"]], page["next"]) == (ids[:3], ids[2])
        page = client.get(address, params={"limit": 2, "after": ids[2]}).json()
        assert ([cell["id"] for cell in page["cells"]], page["next"]) == (ids[3:], None)
        client.post(f"samples/{sample}/labels", json={"cells": [ids[2]], "label": "blast"})
        for label, wanted in (("blast", [ids[2]]), ("unsure", []), ("other", [ids[4]]), ("no such", [])):
            found = client.get(address, params={"label": label}).json()["cells"]
            assert [cell["id"] for cell in found] == wanted
        assert client.get(address, params={"field": 2}).json()["cells"] == []


class TestActs:
    def test_one_or_several_are_named_undone_and_named_again(
        self, client: Any, sample: str, ids: list[int]
    ) -> None:
        here = f"samples/{sample}"
        told = client.post(f"{here}/labels", json={"cells": ids[:2], "label": "band"}).json()
        assert told["changed"] == [
            {"id": one, "label": "band", "by": "person", "blind": False} for one in ids[:2]
        ]
        assert labels(client, sample) == ["band", "band", *SHOWN[2:]]
        assert client.post(f"{here}/undo").json()["act"] == told["act"]
        assert labels(client, sample) == SHOWN
        assert client.post(f"{here}/undo").json() == {"act": None, "changed": []}
        assert client.post(f"{here}/redo").json()["act"] == told["act"]
        assert labels(client, sample) == ["band", "band", *SHOWN[2:]]

    def test_false_ones_are_struck_out_and_missed_ones_drawn(
        self, client: Any, sample: str, ids: list[int], worker: Any
    ) -> None:
        here = f"samples/{sample}"
        told = client.post(f"{here}/strikes", json={"cells": [ids[4]]}).json()
        assert told["changed"] == [{"id": ids[4], "label": None, "by": "machine", "blind": False}]
        assert client.get(f"{here}/cells/{ids[4]}").status_code == 404
        drawn = client.post(f"{here}/cells", json={"field": 1, "box": [200, 100, 240, 150]})
        assert (drawn.status_code, drawn.json()["changed"][0]["label"]) == (201, "unsure")
        assert worker.woken[-1] == ["crop"]
        cell = client.get(f"{here}/cells/{drawn.json()['changed'][0]['id']}").json()
        assert (cell["drawn"], cell["machine"], cell["box"]) == (True, None, [200, 100, 240, 150])

    def test_what_is_no_cell_or_no_name_is_refused(self, client: Any, sample: str) -> None:
        for address, body, status in UNFIT:
            answer = client.post(f"samples/{sample}/{address}", json=body)
            assert (answer.status_code, set(answer.json())) == (status, {"problem", "remedy"}), body
        assert labels(client, sample) == SHOWN

    def test_another_samples_cells_are_not_this_ones(
        self, client: Any, program: Program, sample: str, ids: list[int], smear: bytes
    ) -> None:
        other = client.post("samples", json={"identifier": "P-2"}).json()["key"]
        client.post(f"samples/{other}/fields", files={"files": ("a.png", smear)})
        body = {"cells": [ids[0]], "label": "band"}
        assert client.post(f"samples/{other}/labels", json=body).status_code == 404
        for rest in ("", "/picture"):
            assert client.get(f"samples/{other}/cells/{ids[0]}{rest}").status_code == 404


class TestCounts:
    def test_the_differential_counts_along_machine_and_reviewed(
        self, client: Any, sample: str, ids: list[int]
    ) -> None:
        client.post(f"samples/{sample}/labels", json={"cells": [ids[2]], "label": "blast"})
        told = client.get(f"samples/{sample}/differential").json()
        reviewed, machine = told["reviewed"], told["machine"]
        assert (reviewed["denominator"], reviewed["unsure"], reviewed["at_edge"]) == (3, 0, 1)
        assert (machine["denominator"], machine["unsure"], machine["not_leukocyte"]) == (2, 1, 1)
        found = {row["key"]: row for row in reviewed["classes"]}
        assert found["blast"]["count"] == reviewed["blasts"] == 1
        share = found["neutrophil"]["share"]
        # Exact limits of 1 in 3: the roots of the binomial tails at 2.5 %.
        assert [round(share[edge], 1) for edge in ("percent", "low", "high")] == [33.3, 0.8, 90.6]
        assert found["neutrophil"]["concentration"]["value"] == pytest.approx(8 / 3)
        assert any("last" in flag["message"] for flag in told["flags"])

    def test_every_figure_of_the_services_is_in_the_answer(self) -> None:
        for theirs, ours in ((ClassCount, counts.ClassCount), (Flag, counts.Flag), (Share, counts.Share)):
            assert set(ours.model_fields) == set(theirs.__dataclass_fields__)
        answered = set(counts.Differential.model_fields)
        known = set(Differential.__dataclass_fields__) - {"tally", "white_count", "confusion_from"}
        assert known <= answered | {"unsure"}

    def test_comments_are_said_and_taken_back(self, client: Any, sample: str) -> None:
        address = f"samples/{sample}/comments"
        told = client.put(f"{address}/rouleaux", json={"grade": "2+"}).json()
        assert (told["key"], told["of"], told["grade"]) == ("rouleaux", "red cells", "2+")

        def said() -> dict[str, str]:
            findings = client.get(address).json()["findings"]
            return {one["key"]: one["grade"] for one in findings if one["grade"]}

        assert said() == {"rouleaux": "2+"}
        assert client.put(f"{address}/rouleaux", json={"grade": "4+"}).status_code == 422
        assert client.put(f"{address}/%00", json={"grade": "2+"}).status_code == 422
        assert client.delete(f"{address}/rouleaux").status_code == 204
        assert said() == {}


class TestTwoReaders:
    def test_neither_sees_the_others_answers_until_both_are_done(
        self, program: Program, smear: bytes
    ) -> None:
        first, second, third = program("reader"), program("reviewer"), program("administrator")
        key = third.post("samples", json={"identifier": "P-2", "two_readers": True}).json()["key"]
        third.post(f"samples/{key}/fields", files={"files": ("a.png", smear)})
        here = f"samples/{key}"
        ids = [cell["id"] for cell in third.get(f"{here}/cells").json()["cells"]]
        body = {"cells": [ids[0]], "label": "band"}
        assert first.post(f"{here}/labels", json=body).status_code == 409  # has begun no turn
        first.post(f"{here}/turns/1/begin")
        assert first.post(f"{here}/labels", json=body).status_code == 200
        told = second.post(f"{here}/turns/2/begin").json()
        assert ([one["reader"] for one in told["turns"]], told["differences"]) == (
            ["reader", "reviewer"], None,
        )  # fmt: skip
        assert labels(first, key)[0] == "band"
        for other in (second, third):
            assert labels(other, key) == SHOWN
            assert other.get(f"{here}/cells", params={"label": "band"}).json()["cells"] == []
            reviewed = other.get(f"{here}/differential").json()["reviewed"]
            assert "band" not in {row["key"] for row in reviewed["classes"]}
        first.post(f"{here}/turns/1/end")
        told = second.post(f"{here}/turns/2/end").json()
        (difference,) = told["differences"]
        assert (difference["cell_id"], difference["first"], difference["second"]) == (
            ids[0], "band", "neutrophil",
        )  # fmt: skip
        assert told["kappa"] < 1
        assert third.post(f"{here}/sign", json={"accept_unsure": True}).status_code == 409
        third.post(f"{here}/turns/3/begin")
        assert third.post(f"{here}/labels", json=body).status_code == 200
        assert third.post(f"{here}/turns/3/end").json()["differences"][0]["settled"] == "band"
        assert third.post(f"{here}/sign", json={"accept_unsure": True}).status_code == 201
