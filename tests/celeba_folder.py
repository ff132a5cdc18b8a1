"""A folder as CelebA's, with cartoon faces that look like what their attributes say."""

import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tf_jmvae.data.celeba import ATTRIBUTES

WIDTH, HEIGHT = 178, 218
SHARES = (0.70, 0.15, 0.15)
DRAWN = ("Bald", "Black_Hair", "Blond_Hair", "Eyeglasses", "Male", "Mouth_Slightly_Open", "Smiling", "Wearing_Hat")
SKINS = ((255, 224, 196), (241, 194, 150), (198, 134, 90), (120, 76, 48))


def make(folder, count, seed=0):
    """Writes `count` JPEGs and both lists.

    Returns:
      int8 attributes `[count, 40]` in {-1, 1} and partitions `[count]`: 0, 1 and 2 in shares of 70, 15 and 15
      per cent, each at least one image if there are three.
    """
    folder = pathlib.Path(folder)
    (folder / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    attributes = random_attributes(random, count)
    partition = np.repeat(np.arange(3, dtype=np.int8), _sizes(count))
    for name, row in zip(names(count), attributes, strict=True):
        draw(dict(zip(ATTRIBUTES, row > 0, strict=True)), random).save(
            folder / "img_align_celeba" / name, quality=90, subsampling=0
        )
    write_lists(folder, names(count), attributes, partition)
    return attributes, partition


def names(count):
    return [f"{number:06d}.jpg" for number in range(1, count + 1)]


def write_lists(folder, image_names, attributes, partition):
    """Both lists in the original format."""
    rows = [
        f"{name} " + " ".join(f"{value:2d}" for value in row) for name, row in zip(image_names, attributes, strict=True)
    ]
    lines = [str(len(rows)), " ".join(ATTRIBUTES) + " ", *rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    lines = [f"{name} {part}" for name, part in zip(image_names, partition, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def random_attributes(random, count):
    """Independent and even, but for what excludes each other: one colour of hair at most, and none when bald."""
    attributes = random.choice(np.array([-1, 1], np.int8), (count, len(ATTRIBUTES)))
    column = {name: attributes[:, ATTRIBUTES.index(name)] for name in ATTRIBUTES}
    hair = random.integers(0, 4, count)
    for number, name in enumerate(("Bald", "Black_Hair", "Blond_Hair", "Brown_Hair")):
        column[name][:] = np.where(hair == number, 1, -1)
    column["Gray_Hair"][:] = -1
    column["Wearing_Hat"][:] = np.where(random.random(count) < 0.1, 1, -1)
    return attributes


def draw(has, random):
    """One face; `has` says which attributes it has. Skin, background, position and light vary freely."""

    def jittered(color, spread=12):
        return tuple(int(value) for value in np.clip(np.array(color) + random.integers(-spread, spread + 1), 0, 255))

    background = tuple(int(value) for value in random.integers(40, 216, 3))
    skin = jittered(SKINS[random.integers(len(SKINS))])
    dark = tuple(value * 2 // 3 for value in skin)
    hair = jittered((235, 205, 110) if has["Blond_Hair"] else (30, 25, 25) if has["Black_Hair"] else (110, 65, 35))
    x, y = WIDTH // 2 + int(random.integers(-5, 6)), 118 + int(random.integers(-5, 6))
    image = Image.new("RGB", (WIDTH, HEIGHT), background)
    pen = ImageDraw.Draw(image)

    def oval(left, top, right, bottom, color, **options):
        pen.ellipse((x + left, y + top, x + right, y + bottom), fill=color, **options)

    pen.rectangle((x - 20, y + 40, x + 20, HEIGHT), fill=dark)
    oval(-75, 85, 75, 170, jittered((60, 80, 150) if has["Male"] else (180, 60, 90), 30))
    if not has["Bald"]:
        oval(-54, -76, 54, 30, hair)
        if not has["Male"]:
            pen.rectangle((x - 56, y - 25, x - 28, y + 85), fill=hair)
            pen.rectangle((x + 28, y - 25, x + 56, y + 85), fill=hair)
    oval(-44, -62 if has["Bald"] else -48, 44, 62, skin)
    for side in (-1, 1):
        center = side * 19
        oval(center - 9, -14, center + 9, -4, "white")
        oval(center - 4, -14, center + 4, -4, (30, 20, 20))
        pen.line((x + center - 11, y - 22, x + center + 11, y - 22), fill=(40, 30, 25), width=5 if has["Male"] else 2)
        if has["Eyeglasses"]:
            oval(center - 15, -24, center + 15, 6, None, outline=(15, 15, 15), width=4)
    if has["Eyeglasses"]:
        pen.line((x - 5, y - 9, x + 5, y - 9), fill=(15, 15, 15), width=4)
    pen.line((x, y - 2, x - 5, y + 18, x + 5, y + 18), fill=dark, width=3)
    lips = (170, 40, 50)
    if has["Smiling"]:
        pen.chord((x - 22, y + 14, x + 22, y + 46), 0, 180, fill="white" if has["Mouth_Slightly_Open"] else lips)
        pen.arc((x - 22, y + 14, x + 22, y + 46), 0, 180, fill=lips, width=4)
    elif has["Mouth_Slightly_Open"]:
        oval(-9, 30, 9, 44, (90, 20, 25), outline=lips, width=3)
    else:
        pen.line((x - 15, y + 37, x + 15, y + 37), fill=lips, width=5)
    if has["Wearing_Hat"]:
        color = jittered((90, 60, 120), 40)
        pen.rectangle((x - 40, y - 88, x + 40, y - 42), fill=color)
        pen.rectangle((x - 62, y - 46, x + 62, y - 36), fill=color)
    grain = Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    return Image.blend(image.filter(ImageFilter.GaussianBlur(0.8)), grain, 0.04)


def _sizes(count):
    held_out = [max(round(share * count), 1 if count >= 3 else 0) for share in SHARES[1:]]
    return [count - sum(held_out), *held_out]
