from __future__ import annotations

import pytest

from st2sensor.models import SensorType, Trigger, TriggerType
from st2sensor.storage.documents import COLLECTIONS, changes
from tests.support.workspace import sample

KINDS = {"sensor_type_d_b": SensorType, "trigger_type_d_b": TriggerType, "trigger_d_b": Trigger}


@pytest.mark.parametrize("name", KINDS)
def test_stackstorms_documents_read_and_write_back_the_same(name: str) -> None:
    collection = COLLECTIONS[KINDS[name]]
    documents = sample(f"documents/{name}.json")
    assert documents
    for document in documents:
        present, _ = changes(collection.to_document(collection.from_document(document)))
        assert present == {key: value for key, value in document.items() if key != "_id"}
