#!/usr/bin/env bash
# Makes the MILES stellar library into one .npz, for `eigenlens reproduce stellar --data`.
#
#   bash scripts/fetch_miles.sh OUT.npz
#
# Downloads the wheel of sdss-mangadap 4.5.0 (122 MB) from PyPI with pip and takes the 985 spectra of MILES v9.1 and their
# parameters out of it; nothing of it is installed. Needs python3 with pip and venv; NumPy goes into a temporary environment
# where there is none. WHEEL=FILE uses a wheel that is there already.
#
# What is in the file: flux f32 [985, 4300] (as the library has it, normalised), wavelength f64 [4300] in Å in air
# (3540.5 + 0.9 i), miles_id i32, name, spt (spectral type), teff (K), logg, feh ([Fe/H] in dex), NaN where none is known.
#
# The spectra: Sánchez-Blázquez et al. 2006, MNRAS 371, 703; Falcón-Barroso et al. 2011, A&A 532, A95. The parameters: Cenarro et
# al. 2007, MNRAS 374, 664. Cite them where you use the data (http://miles.iac.es). The wheel is that of the MaNGA data analysis
# pipeline (Westfall et al. 2019, AJ 158, 231), BSD-3-Clause, which turned the library's text files into FITS.
set -euo pipefail

say() { echo "fetch_miles.sh: $*" >&2; }

if [ $# -ne 1 ] || [ "${1:0:1}" = - ]; then
    say "give one argument, the file to write: bash scripts/fetch_miles.sh miles.npz"
    exit 2
fi
out=$1
directory=$(dirname -- "$out")
[ -d "$directory" ] || { say "there is no directory $directory; make it first"; exit 1; }
command -v python3 >/dev/null 2>&1 || { say "python3 is not installed; install it, with pip"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=python3
if ! python3 -c 'import numpy' 2>/dev/null || { [ -z "${WHEEL-}" ] && ! python3 -m pip --version >/dev/null 2>&1; }; then
    say "making a temporary environment with NumPy"
    python3 -m venv "$work/venv" || { say "python3 can't make one; install python3-venv, or NumPy and pip"; exit 1; }
    python=$work/venv/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check numpy
fi

wheel=${WHEEL-}
if [ -z "$wheel" ]; then
    say "downloading sdss-mangadap 4.5.0 (122 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$work" sdss-mangadap==4.5.0
    wheel=$(echo "$work"/sdss_mangadap-*.whl)
fi
[ -f "$wheel" ] || { say "there is no wheel $wheel"; exit 1; }

"$python" - "$wheel" "$out" <<'PYTHON'
import os
import sys
import tempfile
import zipfile

import numpy as np

wheel, out = sys.argv[1:]
FOLDER = "mangadap/data/spectral_templates/miles/"
STARS, WAVELENGTHS, FIRST, STEP = 985, 4300, 3540.5, 0.9


def spectrum(data, name):
    """The image of a one-dimensional FITS file, which needs no astropy: 2880-byte blocks, the header of 80-byte cards."""
    header, at = {}, 0
    while "END" not in header:
        block = data[at : at + 2880].decode("ascii")
        if len(block) < 2880:
            sys.exit(f"fetch_miles.sh: {name}: no FITS file; is the wheel whole?")
        for card in (block[i : i + 80] for i in range(0, 2880, 80)):
            header[card[:8].strip()] = card[10:].split("/")[0].strip()
        at += 2880
    found = [float(header[key]) for key in ("BITPIX", "NAXIS", "NAXIS1", "CRPIX1", "CRVAL1", "CDELT1")]
    if not np.allclose(found, [-64, 1, WAVELENGTHS, 1, FIRST, STEP]):
        sys.exit(f"fetch_miles.sh: {name}: not the wavelengths of MILES v9.1: {found}")
    return np.frombuffer(data, ">f8", WAVELENGTHS, at)


def number(text):
    return float("nan") if text.strip("- ") == "" else float(text)


flux = np.zeros((STARS, WAVELENGTHS), "f4")
names, types = [""] * STARS, [""] * STARS
teff, logg, feh = (np.full(STARS, np.nan) for _ in range(3))
seen, listed = set(), set()
with zipfile.ZipFile(wheel) as archive:
    for member in archive.namelist():
        # omit/ holds star 970, which the pipeline leaves out for an artefact; the library has it.
        if member.startswith(FOLDER) and member.endswith("V.fits"):
            star = int(member[-10:-6])
            flux[star - 1] = spectrum(archive.read(member), member)
            seen.add(star)
    table = archive.read(FOLDER + "paramsMILES_v9.1.txt").decode("latin-1")
lines = [line for line in table.splitlines()[3:] if line.strip()]
left = sorted(set(range(1, STARS + 1)) - {int(line[22:28]) for line in lines if line[22:28].strip().isdigit()})
for line in lines:
    # Columns of fixed width: name, number in MILES, number in CaT, spectral type, Teff, log g, [Fe/H], references.
    text = line[22:28].strip()
    # One number is misprinted in v9.1 ("022." for 0221, HD044691A): it is the one that no other line has.
    star = int(text) if text.isdigit() else left.pop() if len(left) == 1 else 0
    if not 1 <= star <= STARS:
        sys.exit(f"fetch_miles.sh: paramsMILES_v9.1.txt: no number of a star: {line.strip()}")
    i = star - 1
    names[i], types[i] = line[:22].strip(), line[36:49].strip()
    teff[i], logg[i], feh[i] = number(line[49:56]), number(line[56:64]), number(line[64:73])
    listed.add(star)
everyone = set(range(1, STARS + 1))
if seen != everyone or listed != everyone:
    lacking = sorted(everyone - seen | everyone - listed)[:5]
    sys.exit(f"fetch_miles.sh: {len(seen)} spectra and {len(listed)} lines of {STARS}; stars {lacking} … are missing")

# Under a temporary name first: half a file is never there.
handle, part = tempfile.mkstemp(suffix=".npz", dir=os.path.dirname(os.path.abspath(out)))
os.close(handle)
try:
    np.savez_compressed(
        part, flux=flux, wavelength=FIRST + STEP * np.arange(WAVELENGTHS), miles_id=np.arange(1, STARS + 1, dtype="i4"),
        name=np.array(names), spt=np.array(types), teff=teff, logg=logg, feh=feh,
    )
    os.chmod(part, 0o644)
    os.replace(part, out)
except BaseException:
    os.unlink(part)
    raise
print(f"{out}: {STARS} stars, {np.isfinite(feh).sum()} with [Fe/H]")
PYTHON
