"""The speed table: ratios measured in one run on one computer, each beside its target.

The reference is a plain implementation of the published algorithm with the same networks: every
iteration shrinks the full-size picture, trains scikit-learn's MLPRegressor on 50,176 pixels and
maps every pixel of the full-size picture by it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vae_balance.benchmark.server import measure_daemon
from vae_balance.benchmark.stability import measure_stability
from vae_balance.benchmark.tools import (
    Photo8,
    medians,
    peak_memory,
    run_python,
    sample_photo,
    seconds_of,
)
from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.fused_network import Answer
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.latent_balancer.vae import latents_of
from vae_balance.errors import OptionError
from vae_balance.evaluation.published_color_map import fit_published_color_map
from vae_balance.evaluation.targets import Target
from vae_balance.looks.chroma_map import ChromaLook
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.light_map import MAP, LightLook
from vae_balance.looks.look import Place
from vae_balance.looks.origin import UNKNOWN
from vae_balance.luts.cube import write_cube
from vae_balance.photos.photo import Photo, write_photo
from vae_balance.photos.proxy import PROXY_SIZE, make_proxy

BenchmarkRow = Target
# For readers of the table.
ABOUT = """
Figures are ratios and times of one run, each beside its target. "Published algorithm" is a plain
implementation of it with the same networks: every iteration shrinks the full-size picture, trains
scikit-learn's MLPRegressor on 50,176 pixels and maps every pixel of the full-size picture by it.
"""

# Called with the number of measurements done and of all, and with the one that begins.
Report = Callable[[int, int, str], None]

# Megapixels that the targets speak of; other sizes are scaled with the one asked for.
FULL_SIZE = 24.0
LEARNING_SIZES = (2.0, 24.0, 100.0)
JPEG_SIZE = 2.0
DEEP_SIZE = 100.0
ITERATIONS = 5

# The published code maps all pixels in one call. In strips scikit-learn is two to four times as
# fast and needs no 7 GB for 24 megapixels: the reference is rather too good than too bad.
_STRIP = 1 << 18


def benchmark(
    model: Model,
    megapixels: float = FULL_SIZE,
    report: Report = lambda done, total, what: None,
    repeats: int = 5,
    beside: Model | None = None,
) -> list[BenchmarkRow]:
    """Measure the speed table; medians of `repeats` runs, the slow reference once.

    Args:
        model: the networks that both sides use.
        megapixels: size of the large photo; the others are scaled with it. The targets are
            meant for 24.
        report: called before every measurement.
        repeats: runs of which the median is taken.
        beside: another model, a former one for instance, that learns a look in turn with this one.

    Raises:
        OptionError: the size or the number of runs is not positive.
        BalanceError: a program that was started failed.
    """
    if not megapixels > 0.0 or repeats < 1:
        raise OptionError(f"{megapixels} megapixels, {repeats} repeats: both must be positive")
    scale = megapixels / FULL_SIZE
    measurements: list[tuple[str, Callable[[], list[BenchmarkRow]]]] = [
        ("learning", lambda: measure_learning(model, scale, repeats)),
        ("beside", lambda: [measure_beside(model, beside, scale, repeats)] if beside else []),
        ("color map", lambda: [measure_color_map(model, repeats)]),
        ("applying", lambda: [measure_applying(model, megapixels, repeats)]),
        ("mixed light", lambda: [measure_light(megapixels, repeats)]),
        ("colorizing", lambda: [measure_colorizing(megapixels, repeats)]),
        ("cold start", lambda: measure_cold_start(model, JPEG_SIZE * scale, repeats)),
        ("memory", lambda: [measure_memory(model, DEEP_SIZE * scale)]),
        ("daemon", lambda: measure_daemon(model, scale, repeats)),
        ("sd-vae-ft-mse", lambda: measure_stability(str(model.device))),
        ("published algorithm", lambda: [measure_published(model, megapixels, repeats)]),
    ]
    rows: list[BenchmarkRow] = []
    for done, (what, measure) in enumerate(measurements):
        report(done, len(measurements), what)
        rows += measure()
    report(len(measurements), len(measurements), "")
    return rows


def measure_published(model: Model, megapixels: float, repeats: int) -> BenchmarkRow:
    """Compare a picture in memory balanced by the published algorithm and by ours."""
    photo = sample_photo(megapixels)

    def ours() -> None:
        look = learn_look([make_proxy(photo)], model, LookOptions(iterations=ITERATIONS))
        apply_lut(look.lut, photo)

    (our_time,) = medians([ours], repeats)
    their_time = seconds_of(lambda: balance_as_published(photo, model, ITERATIONS))
    return Target(
        f"{megapixels:g} megapixels, {ITERATIONS} iterations: published algorithm / ours",
        their_time / our_time,
        30.0,
        at_most=False,
        detail=f"{their_time:.1f} / {our_time:.2f} s",
    )


@torch.inference_mode()
def balance_as_published(photo: Photo8, model: Model, iterations: int) -> Photo8:
    """Balance a picture (H, W, 3) as the published program does, step by step.

    Source: `recursive_color_correction` in github.com/messy-bytes/VAE-Color-Balance (MIT); the
    networks are those of `model`, the full-size picture is mapped in strips.
    """
    noise = torch.Generator().manual_seed(20)
    adjusted = photo
    for _ in range(iterations):
        image = Image.fromarray(adjusted)
        left, top = (image.width - min(image.size)) // 2, (image.height - min(image.size)) // 2
        square = image.crop((left, top, left + min(image.size), top + min(image.size)))
        small = square.resize((PROXY_SIZE, PROXY_SIZE), Image.Resampling.BILINEAR)
        proxy = np.asarray(small, dtype=np.float32) / 255.0
        pixels = torch.from_numpy(proxy).permute(2, 0, 1)[None].to(model.device)
        moments = model.vae.encode(pixels)
        fixed = _sampled(model, _balanced(model, proxy, pixels, moments), noise)
        distorted = _sampled(model, moments, noise)
        color_map = fit_published_color_map(distorted, fixed)
        mapped = np.empty_like(adjusted)
        flat, out = adjusted.reshape(-1, 3), mapped.reshape(-1, 3)
        for start in range(0, len(flat), _STRIP):
            colors = color_map(flat[start : start + _STRIP] / 255.0)
            out[start : start + _STRIP] = np.uint8(np.clip(colors, 0.0, 1.0) * 255.0)
        adjusted = mapped
    return adjusted


def _balanced(
    model: Model, proxy: NDArray[np.float32], pixels: torch.Tensor, moments: torch.Tensor
) -> torch.Tensor:
    """Return the balanced moments, (1, 8, 28, 28); a fused balancer is asked about no mirror."""
    balancer = model.latent_balancer
    if model.classifier is None:
        balanced: torch.Tensor = balancer(moments)
        return balanced
    statistics = torch.from_numpy(color_statistics(proxy))[None].to(model.device)
    answer: Answer = balancer(moments, model.classifier(pixels), statistics)
    return answer.moments


def _sampled(model: Model, moments: torch.Tensor, noise: torch.Generator) -> NDArray[np.float32]:
    decoded = model.vae.decode(latents_of(moments, noise))
    return decoded[0].permute(1, 2, 0).float().cpu().numpy()


def measure_learning(model: Model, scale: float, repeats: int) -> list[BenchmarkRow]:
    """Learn from pictures of several sizes, reading and shrinking apart, and with more rounds."""
    sizes = [size * scale for size in LEARNING_SIZES]
    proxies = [make_proxy(sample_photo(size)) for size in sizes]
    once, often = LookOptions(iterations=1), LookOptions(iterations=ITERATIONS)
    works = [partial(learn_look, [proxy], model, once) for proxy in proxies]
    works.append(partial(learn_look, [proxies[1]], model, often))
    *singles, five = medians(works, repeats)
    # What is found sound after a round is not learned from in further ones.
    further = len(set(map(id, works[-1]().rounds))) - 1
    names = " / ".join(f"{size:g}" for size in sizes)
    return [
        Target(
            f"learning from {names} megapixels, slowest / fastest",
            max(singles) / min(singles),
            1.25,
            detail=" / ".join(f"{seconds:.3f}" for seconds in singles) + " s",
        ),
        Target("a further iteration", (five - singles[1]) / further if further else None, 0.2, "s"),
    ]


def measure_beside(model: Model, other: Model, scale: float, repeats: int) -> BenchmarkRow:
    """Learn a look by both models in turn; much is wrong with the photo, so all is asked."""
    proxy = make_proxy(sample_photo(FULL_SIZE * scale))
    once = LookOptions(iterations=1)
    ours, theirs = medians(
        [lambda: learn_look([proxy], model, once), lambda: learn_look([proxy], other, once)],
        repeats,
    )
    names = [f"{each.info.name} {each.info.version}" for each in (model, other)]
    return Target(
        f"learning a look, 1 iteration: {' / '.join(names)}",
        ours / theirs,
        1.5,
        detail=f"{ours:.3f} / {theirs:.3f} s",
    )


def measure_color_map(model: Model, repeats: int) -> BenchmarkRow:
    """Fit one color map to the subimages of a photo."""
    learned = learn_look([make_proxy(sample_photo(0.5))], model).rounds[0]
    (seconds,) = medians([lambda: fit_color_map(learned.distorted, learned.fixed)], repeats)
    return Target("fitting the color map", seconds, 0.1, "s")


def measure_applying(model: Model, megapixels: float, repeats: int) -> BenchmarkRow:
    """Compare applying a look, the new picture included, with OpenColorIO alone."""
    photo = sample_photo(megapixels)
    lut = learn_look([make_proxy(photo)], model).lut
    scratch = photo.copy()
    bare = _bare_opencolorio(lut, scratch)
    ours, theirs = medians([lambda: apply_lut(lut, photo), bare], repeats)
    return Target(
        f"applying to {megapixels:g} megapixels at 8 bits / a bare OpenColorIO pass",
        ours / theirs,
        2.5,
        detail=f"{ours:.3f} / {theirs:.3f} s",
    )


def measure_light(megapixels: float, repeats: int) -> BenchmarkRow:
    """Compare applying a look that differs from place to place with applying a LUT; any grid."""
    photo = sample_photo(megapixels)
    grid = np.random.default_rng(1).normal(0.0, 0.05, (16, 16, 8, MAP)).astype(np.float32)
    look = LightLook(Lut3D.identity(), grid, UNKNOWN)
    place = Place.whole(photo)
    look.apply(photo[:1].copy(), place)  # compiled when it is first used
    light, lut = medians(
        [lambda: look.apply(photo, place), lambda: apply_lut(look.base, photo)], repeats
    )
    return Target(
        f"applying mixed light to {megapixels:g} megapixels at 8 bits / applying a LUT",
        light / lut,
        4.0,
        detail=f"{light:.3f} / {lut:.3f} s",
    )


def measure_colorizing(megapixels: float, repeats: int) -> BenchmarkRow:
    """Compare giving a grey photo colors with applying a LUT; any colors, of the proxy's size."""
    photo = np.repeat(sample_photo(megapixels)[..., 1:2], 3, axis=2)
    planes = np.random.default_rng(1).normal(0.0, 10.0, (2, 2, PROXY_SIZE, PROXY_SIZE))
    slopes, offsets = planes.astype(np.float32)
    look, lut = ChromaLook(slopes, offsets, False, UNKNOWN), Lut3D.identity()
    place = Place.whole(photo)
    colors, plain = medians(
        [lambda: look.apply(photo, place), lambda: apply_lut(lut, photo)], repeats
    )
    return Target(
        f"colorizing {megapixels:g} megapixels at 8 bits / applying a LUT",
        colors / plain,
        20.0,
        detail=f"{colors:.3f} / {plain:.3f} s",
    )


def _bare_opencolorio(lut: Lut3D, pixels: Photo8) -> Callable[[], None]:
    """Return a function that passes `pixels` through OpenColorIO in place, in one call."""
    import PyOpenColorIO

    transform = PyOpenColorIO.Lut3DTransform(gridSize=lut.size)
    transform.setInterpolation(PyOpenColorIO.INTERP_TETRAHEDRAL)
    transform.setData(lut.table.reshape(-1))
    depth = PyOpenColorIO.BIT_DEPTH_UINT8
    processor = PyOpenColorIO.Config.CreateRaw().getProcessor(transform)
    cpu: Any = processor.getOptimizedCPUProcessor(depth, depth, PyOpenColorIO.OPTIMIZATION_DEFAULT)
    height, width, _ = pixels.shape
    image = PyOpenColorIO.PackedImageDesc(pixels, width, height, 3, depth, 1, 3, 3 * width)

    def apply() -> None:
        cpu.apply(image)

    return apply


def measure_cold_start(model: Model, megapixels: float, repeats: int) -> list[BenchmarkRow]:
    """Start programs anew: help, and a JPEG balanced from process start to file written."""
    with tempfile.TemporaryDirectory() as name:
        photo, result = Path(name, "photo.jpg"), Path(name, "balanced.jpg")
        Image.fromarray(sample_photo(megapixels)).save(photo, quality=92)
        balance = ["balance", str(photo), "-o", str(result), "--force", *_model_options(model)]
        balance += ["--daemon", "never"]
        commands = [
            ["-c", "pass"],
            ["-m", "vae_balance", "--help"],
            ["-c", "import torch"],
            ["-m", "vae_balance", *balance],
        ]
        works = [partial(run_python, command) for command in commands]
        nothing, help_time, torch_time, balance_time = medians(works, repeats)
    return [
        Target(
            "cold start of vae-balance --help",
            help_time,
            3.0 * nothing + 0.2,
            "s",
            detail=f"python -c pass: {nothing:.3f} s",
        ),
        Target(
            f"cold balance of a {megapixels:g}-megapixel JPEG / python -c 'import torch'",
            balance_time / torch_time,
            2.5,
            detail=f"{balance_time:.2f} / {torch_time:.2f} s",
        ),
    ]


def measure_memory(model: Model, megapixels: float) -> BenchmarkRow:
    """Apply a look to a 16-bit TIFF with the command; peak memory less the decoded picture."""
    name = f"peak memory of applying to {megapixels:g} megapixels at 16 bits, beyond the picture"
    if sys.platform == "win32":
        return Target(name, None, 300.0, "MB")
    with tempfile.TemporaryDirectory() as folder:
        look, photo = Path(folder, "look.cube"), Path(folder, "photo.tif")
        small = sample_photo(megapixels)
        write_cube(look, learn_look([make_proxy(small)], model).lut)
        pixels = small.astype(np.uint16)
        pixels *= 257
        write_photo(Photo(pixels), photo)
        picture, nbytes = str(photo), pixels.nbytes
        del small, pixels
        out = str(Path(folder, "balanced.tif"))
        apply = [sys.executable, "-m", "vae_balance", "apply", str(look), picture, "-o", out]
        bytes_used = peak_memory(apply)
    detail = f"all {bytes_used / 1e6:.0f}, picture {nbytes / 1e6:.0f} MB"
    return Target(name, (bytes_used - nbytes) / 1e6, 300.0, "MB", detail=detail)


def _model_options(model: Model) -> list[str]:
    return ["--model", str(model.info.folder), "--device", str(model.device)]
