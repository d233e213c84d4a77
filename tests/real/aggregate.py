"""Aggregates as the Kinesis Producer Library makes them: many user records in one Kinesis record.

After the library's description of its format: four bytes of magic, a protobuf document, and the MD5 of the document. The
document has tables of partition keys (1) and explicit hash keys (2), and records (3) of partition key index (1), explicit
hash key index (2) and data (3).
"""

import hashlib

MAGIC = b"\xf3\x89\x9a\xc2"


def aggregate(user_records: list) -> bytes:
    """Of user records, each a partition key, an explicit hash key or None, and data."""
    return seal(document(user_records))


def document(user_records: list) -> bytes:
    partition_keys = sorted({key for key, _, _ in user_records})
    hash_keys = sorted({hash_key for _, hash_key, _ in user_records if hash_key is not None})
    made = b"".join(lengthy(1, key.encode()) for key in partition_keys)
    made += b"".join(lengthy(2, str(key).encode()) for key in hash_keys)
    for key, hash_key, data in user_records:
        record = number(1, partition_keys.index(key))
        if hash_key is not None:
            record += number(2, hash_keys.index(hash_key))
        made += lengthy(3, record + lengthy(3, data))
    return made


def seal(made: bytes) -> bytes:
    return MAGIC + made + hashlib.md5(made).digest()


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def lengthy(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
