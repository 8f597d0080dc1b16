"""Take the README's picture from a tour: ``python docs/readme_picture.py convkit-tour.html``.

It needs playwright and a Chromium (``CHROMIUM`` names its program, by default /usr/bin/chromium),
which nothing else here does, so no extra installs them.
"""

import os
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "_static" / "tour.webp"
MARGIN = 24  # pixels of the page around what is shown
LARGEST = 300_000  # bytes


def gallery(tour: Path) -> Image.Image:
    """Return the two rows of the tour's gallery of kernels, and what stands between them."""
    with sync_playwright() as playwright:
        program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        view = {"width": 1280, "height": 900}
        page = browser.new_page(viewport=view, device_scale_factor=1.5, color_scheme="light")
        page.goto(tour.resolve().as_uri())
        section = page.locator("#kernels")
        first = section.locator(".figures").nth(0).bounding_box()
        last = section.locator(".figures").nth(1).bounding_box()
        clip = {
            "x": last["x"] - MARGIN,
            "y": first["y"] - MARGIN,
            "width": last["width"] + 2 * MARGIN,
            "height": last["y"] + last["height"] - first["y"] + 2 * MARGIN,
        }
        shot = page.screenshot(clip=clip, full_page=True)
        browser.close()
    return Image.open(BytesIO(shot))


def main() -> None:
    gallery(Path(sys.argv[1])).save(PICTURE, "WEBP", quality=84, method=6)
    size = PICTURE.stat().st_size
    if size > LARGEST:
        sys.exit(f"{PICTURE} has {size:,} bytes, more than {LARGEST:,}")
    print(f"{PICTURE}: {size:,} bytes")


if __name__ == "__main__":
    main()
