"""Storage in MongoDB, beside StackStorm's own: the same collections, documents and indexes."""

from st2sensor.storage.mongo.leases import MongoLeases
from st2sensor.storage.mongo.storage import MongoStorage

__all__ = ["MongoLeases", "MongoStorage"]
