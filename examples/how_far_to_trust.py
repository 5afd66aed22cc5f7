"""How many localizations does a picture need? The same movie, cut shorter and shorter.

    python examples/how_far_to_trust.py movie.tif

Prints the agreement with the wide field for each length. The wide field of the whole movie is the judge throughout.
"""

import sys
from pathlib import Path

import stormcell as sc
from stormcell.assessment.squirrel import error_map


def main(path: Path) -> None:
    whole = sc.run(path)
    n_frames = whole.table.n_frames
    print(f"{'frames':>8}  {'localizations':>13}  {'agreement':>9}")
    for share in (1.0, 0.5, 0.2, 0.1):
        stop = max(1, round(share * n_frames))
        part = sc.filter(whole.table, where=f"frame < {stop}")
        picture = sc.render(part, sr_pixel_size_nm=whole.image.sr_pixel_size_nm)
        agreement = error_map(picture, whole.widefield).rsp if part.n_rows else float("nan")
        print(f"{stop:>8}  {part.n_rows:>13}  {agreement:>9.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
