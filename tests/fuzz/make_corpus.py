#!/usr/bin/env python3
"""Writes a small seed corpus for each fuzz target: make_corpus.py FOLDER."""

import gzip
import io
import pathlib
import struct
import sys
import zipfile


def idx(*extents):
    count = 1
    for extent in extents:
        count *= extent
    header = bytes([0, 0, 8, len(extents)]) + struct.pack(f">{len(extents)}I", *extents)
    return header + bytes(index % 256 for index in range(count))


def npy(descr, shape, data, version=1):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def npz(method, **arrays):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            archive.writestr(name + ".npy", array)
    return buffer.getvalue()


def corpora():
    features = npy("<f4", (2, 3), struct.pack("<6f", 1, 2, 3, 4, 5, 6))
    images = npy("|u1", (2, 2, 2), bytes(8), version=2)
    labels = npy("<i8", (2,), struct.pack("<2q", 0, 1))
    one_hot = npy("<f8", (2, 2), struct.pack("<4d", 0, 1, 1, 0))
    plain = [idx(4), idx(2, 3), idx(2, 2, 2), idx(1, 2, 2, 2)]
    pairs = [(features, labels), (images, one_hot)]
    yield "idx", plain
    yield "idx_gz", [b"\0" + gzip.compress(one) for one in plain] + [b"\1" + one for one in plain]
    yield "npz", (
        [b"\0" + npz(method, x_train=x, y_train=y, x_test=x, y_test=y)
         for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for x, y in pairs]
        + [b"\1" + array for array in (features, images, labels, one_hot)]
        + [b"\2" + struct.pack("<H", len(x)) + x + y for x, y in pairs])
    yield "csv", [b"1,2,0\n3.5,-4e-3,1\n", b"a,b,class\r\n1, 2 ,0\r\n\r\n", b"1,2\n3,4", b"\xef\xbb\xbf1,2,3"]


def main():
    for name, seeds in corpora():
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, seed in enumerate(seeds):
            (folder / f"seed_{index}").write_bytes(seed)


if __name__ == "__main__":
    main()
