"""Small folders of each data set's layout, with the irregularities that the published ones have."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def save(path: Path) -> None:
    """Save a small image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (90, 20, 20)).save(path)


def lamem(root: Path) -> Path:
    """Five folds of two images for each split, and `full.txt`; one name holds a space, one file ends in no line end."""
    names = ["00000001.jpg", "0000 0002.jpg", "00000003.jpg", "00000004.jpg", "00000005.jpg", "00000006.jpg"]
    for name in names:
        save(root / "images" / name)
    (root / "splits").mkdir()
    lines = [f"{name} {0.78 - number / 10:.6f}" for number, name in enumerate(names)]
    for fold in range(1, 6):
        for number, split in enumerate(("train", "val", "test")):
            (root / "splits" / f"{split}_{fold}.txt").write_text("\n".join(lines[2 * number : 2 * number + 2]))
    (root / "splits" / "full.txt").write_text("\r\n".join(lines) + "\r\n\r\n")
    return root


def memcat(root: Path, images: str = "images") -> Path:
    """Three images; labels with commas in quotes, and an index column without a name."""
    root.mkdir(exist_ok=True)
    (root / "memcat_image_data.csv").write_text(
        '"","image_file","category","subcategory","current_height","current_width","source","searched_label",'
        '"resize_factor","H","FA","n_resp","memorability_wo_fa_correction","memorability_w_fa_correction"\n'
        '"1","a_1.jpg","animal","bear","500","640","ImageNet","brown bear, bruin",1,80,5,100,0.8,0.75\n'
        '"2","00002.jpg","food","pie","500","640","COCO","pie",0.5,45,9,90,0.5,0.4\n'
        '"3","c.jpg","sports","golf, mini","500","640","SUN","golf",1,70,0,100,0.7,0.7\n'
    )
    for name in ("animal/bear/a_1.jpg", "food/pie/00002.jpg", "sports/golf, mini/c.jpg"):
        save(root / images / name)
    return root


def figrim(root: Path) -> Path:
    """Two targets of each experiment; the header's names follow a comma and a space."""
    for name in ("bathroom/sun_a.jpg", "castle/sun_b.jpg"):
        save(root / "images" / "SCENES_TARGETS" / name)
    for experiment, hits in (("across", (60, 40)), ("within", (50, 30))):
        (root / f"{experiment}_category.csv").write_text(
            "image number, filename, scene category, hits, misses, false_alarms, correct_rejections\n"
            f"1, sun_a.jpg, bathroom, {hits[0]}, {80 - hits[0]}, 8, 72\n"
            f"2, sun_b.jpg, castle, {hits[1]}, {80 - hits[1]}, 4, 76\n"
        )
    return root


def things(root: Path) -> Path:
    """Three images, one of them without a value."""
    root.mkdir(exist_ok=True)
    (root / "THINGS_Memorability_Scores.csv").write_text(
        "file_path,image_name,image_nr,cr\n"
        "images/aardvark/aardvark_01b.jpg,aardvark_01b,1,0.81\n"
        "images/aardvark/aardvark_02s.jpg,aardvark_02s,2,\n"
        "images/abacus/abacus_01b.jpg,abacus_01b,13,-0.02\n"
    )
    for name in ("aardvark/aardvark_01b.jpg", "aardvark/aardvark_02s.jpg", "abacus/abacus_01b.jpg"):
        save(root / "object_images" / name)
    return root
