"""Archives of arrays: NumPy reads them, and they are the bytes that zipfile would write."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from singcli import npz
from singcli.npz import npz_bytes

DTYPES = st.sampled_from(["<i4", "u1", "<f4", "<f8", "?", "<u2"])
ARRAYS = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=12),
    nps.arrays(DTYPES, nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)),
    max_size=5,
)


def by_zipfile(arrays):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=npz.LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape))
    return content.getvalue()


@given(ARRAYS)
def test_numpy_reads_them(arrays):
    content = npz_bytes(arrays)
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        assert set(stored) == set(arrays)
        for name, array in arrays.items():
            assert stored[name].dtype == array.dtype
            np.testing.assert_array_equal(stored[name], array)
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    assert content == by_zipfile(arrays)


def test_other_layouts_in_memory_are_the_same_array():
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    for view in (array.T, array[::2, ::-1], np.asfortranarray(array)):
        with np.load(io.BytesIO(npz_bytes({"x": view}))) as stored:
            np.testing.assert_array_equal(stored["x"], view)


def test_what_would_need_pickles_or_other_fields_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="without pickles"):
        npz_bytes({"x": np.array([{}], dtype=object)})
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        npz_bytes({"x": np.zeros(1000, np.uint8)})
