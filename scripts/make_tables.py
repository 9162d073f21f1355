"""Writes the small files of tests/data, by the libraries that define their formats: pyarrow, astropy, anndata (h5py).

    pip install numpy pandas pyarrow astropy anndata && python3 scripts/make_tables.py
"""

import datetime
import pathlib
import tempfile

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import scipy.sparse
from astropy.io import fits

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
ROWS = 50


def frame():
    """What every file holds, by formulas that the tests have too."""
    i = np.arange(ROWS)
    days = [datetime.datetime(2024, 2, 28) + datetime.timedelta(hours=12 * int(k)) for k in i]
    return {
        "a": 1e9 + i / 7,
        "n": (i * i - 100).astype(np.int32),
        "kind": np.array(["oak", "ash", "elm"], dtype=object)[i % 3],
        "when": days,
        "y": np.array(["no", "yes"], dtype=object)[i // 5 % 2],
    }


def parquet():
    columns = frame()
    present = np.arange(ROWS) % 10 != 3
    table = pa.table(
        {
            "a": pa.array(columns["a"], mask=~present),
            "n": pa.array(columns["n"]),
            "u": pa.array(np.arange(ROWS, dtype=np.uint64) + np.uint64(2**63)),
            "half": pa.array(np.arange(ROWS, dtype=np.float16) / 4),
            "flag": pa.array(np.arange(ROWS) % 4 == 0),
            "price": pa.array([f"{k}.25" for k in range(ROWS)]).cast(pa.decimal128(9, 2)),
            "kind": pa.array(columns["kind"]).dictionary_encode(),
            "day": pa.array([day.date() for day in columns["when"]]),
            "when": pa.array(columns["when"], pa.timestamp("us")),
            "list": pa.array([[k] for k in range(ROWS)]),
            "y": pa.array(columns["y"]),
        }
    )
    for packed in ["none", "snappy", "gzip", "lz4"]:
        pq.write_table(table, OUT / f"{packed}.parquet", compression=packed, row_group_size=20, data_page_version="2.0" if packed == "gzip" else "1.0")
    pq.write_table(table.select(["n", "y"]), OUT / "zstd.parquet", compression="zstd")
    feather.write_feather(table, OUT / "lz4.feather", compression="lz4", chunksize=20)
    pd.DataFrame({"n": columns["n"], "y": columns["y"]}, index=[f"r{k}" for k in range(ROWS)]).to_parquet(OUT / "pandas.parquet")


def tables_of_fits():
    columns = frame()
    i = np.arange(ROWS)
    flux = (i[:, None] + np.arange(3) / 4).astype(np.float32)
    flux[7, 1] = np.nan
    binary = fits.BinTableHDU.from_columns(
        [
            fits.Column("a", "D", array=columns["a"]),
            fits.Column("n", "J", array=columns["n"], null=-99),
            fits.Column("u", "I", bzero=32768, array=(i + 40000).astype(np.uint16)),
            fits.Column("flux", "3E", array=flux),
            fits.Column("flag", "L", array=i % 4 == 0),
            fits.Column("list", "PJ()", array=np.array([np.arange(k % 3) for k in i], dtype=object)),
            fits.Column("y", "3A", array=columns["y"].astype(str)),
        ]
    )
    picture = fits.PrimaryHDU(np.zeros((3, 5), np.int16))
    fits.HDUList([picture, binary]).writeto(OUT / "binary.fits", overwrite=True)
    text = fits.TableHDU.from_columns(
        [
            fits.Column("a", "D25.17", array=columns["a"]),
            fits.Column("n", "I10", array=columns["n"]),
            fits.Column("y", "A3", array=columns["y"].astype(str)),
        ]
    )
    fits.HDUList([fits.PrimaryHDU(), text]).writeto(OUT / "text.fits", overwrite=True)


def cells():
    i = np.arange(ROWS)
    x = np.where((i[:, None] + np.arange(4)) % 3 == 0, i[:, None] * 0.5 + np.arange(4), 0).astype(np.float32)
    obs = pd.DataFrame(
        {"type": pd.Categorical(frame()["kind"]), "depth": i.astype(float), "batch": frame()["y"].astype(str)},
        index=[f"cell{k}" for k in i],
    )
    var = pd.DataFrame(index=["CD3", "CD8", "MS4A1", "NKG7"])
    kinds = [
        ("dense", x, obs, "earliest"),
        ("rows", scipy.sparse.csr_matrix(x), obs[["type"]], "latest"),
        ("columns", scipy.sparse.csc_matrix(x), obs[[]], "latest"),
    ]
    for name, matrix, obs, version in kinds:
        with tempfile.TemporaryDirectory() as folder:
            whole = pathlib.Path(folder) / "whole.h5ad"
            anndata.AnnData(matrix, obs, var).write_h5ad(whole)
            # Without the empty groups of what isn't there, which take most of a small file.
            with h5py.File(whole) as file, h5py.File(OUT / f"{name}.h5ad", "w", libver=version) as small:
                for part in ["X", "obs", "var"]:
                    file.copy(part, small)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    parquet()
    tables_of_fits()
    cells()
