#!/usr/bin/env python2
"""What is checked inside a real GIMP 2.10: a plug-in of Python-Fu, in Python 2.7.

Each function named case_... is a test of `test_gimp210.py`, which has prepared /io. All of them run
in one GIMP. What they raise goes to /io/results.json, and the sentences that the plug-in must have
said, which only GIMP hears, too.
"""

from __future__ import absolute_import, division, print_function

import json
import os
import sys
import traceback
from array import array

import gimp
import gimpenums
import gimpfu
import gimpshelf

pdb = gimp.pdb
KINDS = {"U8": "B", "U16": "H", "U32": "I", "HALF": None, "FLOAT": "f", "DOUBLE": "d"}
BALANCE = {
    "iterations": 1,
    "strength": 1.0,
    "model": "embedded",
    "learn_from": "layer",
    "output": "replace",
    "lut_file": "",
    "lut_size": 33,
}
APPLY = {"source": "file", "lut_file": "", "strength": 1.0, "output": "replace"}
COLORIZE = {
    "strength": 1.0,
    "tone": "drop",
    "model": "colorize-cross-channel",
    "any_colors": False,
    "output": "replace",
}
ORDER = {
    "plug-in-vae-balance": (
        BALANCE,
        ("iterations", "strength", "model", "learn_from", "output", "lut_file", "lut_size"),
    ),
    "plug-in-vae-balance-apply-lut": (APPLY, ("source", "lut_file", "strength", "output")),
    "plug-in-vae-balance-colorize": (
        COLORIZE,
        ("strength", "tone", "model", "any_colors", "output"),
    ),
}
SAID = []  # in the case that runs
BALANCED = []


# Tools


def done(image, layer, name="plug-in-vae-balance", run_mode=gimpenums.RUN_NONINTERACTIVE, **given):
    defaults, order = ORDER[name]
    values = dict(defaults, **given)
    pdb[name](image, layer, *[values[key] for key in order], run_mode=run_mode)


def apply_lut(image, layer, **given):
    done(image, layer, "plug-in-vae-balance-apply-lut", **given)


def refused(words, image, layer, name="plug-in-vae-balance", **given):
    """Check that the procedure fails and changes nothing; the words are looked for later."""
    before = [(each.ID, native(each)) for each in image.layers]
    try:
        done(image, layer, name, **given)
    except RuntimeError:
        pass
    else:
        raise AssertionError("not refused")
    assert before == [(each.ID, native(each)) for each in image.layers]
    SAID.append(words)


def photo(precision="U8_GAMMA", alpha=True):
    """Return the photo of the tests as an image with one layer, with all kinds of alpha."""
    image = pdb.gimp_file_load("/io/photo.png", "photo.png")
    if precision != "U8_GAMMA":
        pdb.gimp_image_convert_precision(image, getattr(gimpenums, "PRECISION_" + precision))
    layer = image.layers[0]
    if alpha:
        layer.add_alpha()
        kind = KINDS[precision.split("_")[0]]
        data = bytearray(native(layer))
        if kind is None:  # halves of 0.5 to 1, whose bytes are these
            data[6::8] = bytearray(i % 251 for i in range(len(data) // 8))
            data[7::8] = bytearray([0x38]) * (len(data) // 8)
        else:
            values = array(kind, bytes(data))
            full = 1.0 if kind in "fd" else 2 ** (8 * values.itemsize) - 1
            # A third of a number of steps is no value of a coarser type.
            steps = [full * (0.1 + 0.9 * (i % 97) / 97) for i in range(len(values) // 4)]
            if kind in "fd":  # GIMP 2.10 merges in single floats, of 64 bits too
                values[3::4] = array(kind, array("f", steps))
            else:
                values[3::4] = array(kind, [int(step) | 1 for step in steps])
            data = values.tostring()
        write(layer, data)
    return image, layer


def native(layer):
    """Return the pixels as GIMP stores them."""
    assert layer.image.precision  # having asked for it, we get native values
    region = layer.get_pixel_rgn(0, 0, layer.width, layer.height, False, False)
    return region[0 : layer.width, 0 : layer.height]


def write(layer, data):
    region = layer.get_pixel_rgn(0, 0, layer.width, layer.height, True, False)
    region[0 : layer.width, 0 : layer.height] = bytes(data)
    layer.flush()


def rows_of(layer):
    """Return the pixels, 8 bits, as rows of (r, g, b, a)."""
    data = bytearray(native(layer))
    size = 4 if layer.has_alpha else 3
    pixels = [tuple(data[i : i + size]) for i in range(0, len(data), size)]
    return [pixels[i : i + layer.width] for i in range(0, len(pixels), layer.width)]


def to_8_bits(image):
    if image.precision != gimpenums.PRECISION_U8_GAMMA:
        pdb.gimp_image_convert_precision(image, gimpenums.PRECISION_U8_GAMMA)


def floats(image):
    """Return R'G'B' of the one layer of an image as floats, in sRGB; changes the image."""
    if image.precision != gimpenums.PRECISION_FLOAT_GAMMA:
        pdb.gimp_image_convert_precision(image, gimpenums.PRECISION_FLOAT_GAMMA)
    layer = image.layers[0]
    values = array("f", native(layer))
    size = 4 if layer.has_alpha else 3
    return [value for channel in range(3) for value in values[channel::size]]


def difference(one, other):
    return max(abs(a - b) for a, b in zip(one, other))


def origin(layer):
    found = layer.parasite_find("vae-balance")
    return json.loads(found.data) if found else None


def everywhere_else(before, after, inside):
    """Check that pixels outside of an area are as before, and nearly all in it are not."""
    x, y, width, height = inside
    changed = 0
    for row, (old, new) in enumerate(zip(before, after)):
        for column, (one, other) in enumerate(zip(old, new)):
            is_inside = x <= column < x + width and y <= row < y + height
            assert is_inside or one == other, (column, row)
            changed += one[:3] != other[:3]
    assert changed > 0.9 * width * height, changed


# Cases


def case_the_menu_has_all_entries():
    answer = pdb.gimp_plugins_query("")
    paths, types, names = answer[1], answer[7], answer[11]
    found = {name: (path, kind) for name, path, kind in zip(names, paths, types)}
    for name, entry, images in (
        # In the places called Menus, which are above other entries.
        ("plug-in-vae-balance", "Menus/Color/Menus/VAE Balance...", "RGB*, GRAY"),
        ("plug-in-vae-balance-apply-lut", "Menus/Color/Menus/VAE LUT...", "RGB*, GRAY"),
        ("plug-in-vae-balance-colorize", "Color/Colorize Photo...", "RGB*, GRAY*"),
    ):
        path, kind = found[name]
        assert kind == images, kind
        assert path == "<Image>/Filters/" + entry, path


def case_photos_of_each_kind_are_balanced_as_the_command_line_does():
    for name in ("photo.png", "wide.png", "deep.png", "adobe.tif", "linear.tif"):
        image = pdb.gimp_file_load("/io/" + name, name)
        done(image, image.layers[0], iterations=2, strength=0.9)
        pdb.gimp_file_save(image, image.layers[0], "/io/gimp-" + name, "gimp-" + name)
        gimp.delete(image)


def balanced():
    """Return R'G'B' of the balanced photo as floats, worked on in floats."""
    if not BALANCED:
        image, layer = photo("FLOAT_GAMMA")
        done(image, layer)
        BALANCED.extend(floats(image))
    return BALANCED


def check_precision(precision):
    expected = balanced()
    image, layer = photo(precision)
    before = native(layer)
    done(image, layer)
    after = native(layer)
    item = layer.bpp // 4
    changed = 0
    for byte in range(4 * item):
        if byte >= 3 * item:
            assert before[byte :: 4 * item] == after[byte :: 4 * item], "alpha"
        else:
            changed += before[byte :: 4 * item] != after[byte :: 4 * item]
    assert changed
    assert image.precision == getattr(gimpenums, "PRECISION_" + precision)
    assert origin(layer)["model"] == "embedded"
    # The daemon applies a look to linear light through a finer LUT of its own.
    coarse = {"U8_LINEAR": 0.05, "U8_GAMMA": 1.6 / 255, "HALF_GAMMA": 0.002}
    # The model is told quantiles in codes of 8 bits. One that lies between two codes falls to
    # either by the last bit of a float: then the look differs by up to a seventh of such a code.
    most = coarse.get(precision, 0.008 if precision.endswith("LINEAR") else 0.0006)
    away = difference(floats(image), expected)
    assert away < most, away


for _kind in KINDS:
    for _curve in ("LINEAR", "GAMMA"):
        _name = _kind + "_" + _curve
        globals()["case_precision_" + _name.lower()] = lambda name=_name: check_precision(name)


def case_a_grayscale_image_gets_colors_in_one_step():
    def grey():
        image, layer = photo(alpha=False)
        pdb.gimp_image_convert_grayscale(image)
        return image, layer

    image, layer = grey()
    done(image, layer, "plug-in-vae-balance-colorize")
    assert image.base_type == gimpenums.RGB and len(image.layers) == 1
    whole = bytearray(native(layer))
    assert any(whole[i] != whole[i + 1] for i in range(0, len(whole), 3))
    image, layer = grey()
    pdb.gimp_image_convert_rgb(image)
    done(image, layer, "plug-in-vae-balance-colorize")
    assert bytearray(native(layer)) == whole
    image, layer = grey()
    done(image, layer, "plug-in-vae-balance-colorize", output="new-layer")
    assert image.base_type == gimpenums.RGB and len(image.layers) == 2
    assert bytearray(native(image.layers[0])) == whole


def case_what_cannot_be_colorized_stays_as_it_is():
    image, layer = photo(alpha=False)
    refused("has colors already", image, layer, "plug-in-vae-balance-colorize")
    before = native(layer)
    done(image, layer, "plug-in-vae-balance-colorize", any_colors=True)
    assert native(layer) != before
    image, layer = photo(alpha=False)
    pdb.gimp_image_convert_grayscale(image)
    refused("tone", image, layer, "plug-in-vae-balance-colorize", tone="sepia")
    refused("no-such-model", image, layer, "plug-in-vae-balance-colorize", model="no-such-model")
    assert image.base_type == gimpenums.GRAY


def stays_grayscale(words, image, layer, **given):
    pdb.gimp_image_clean_all(image)
    refused(words, image, layer, "plug-in-vae-balance-colorize", **given)
    assert image.base_type == gimpenums.GRAY and not pdb.gimp_image_is_dirty(image)


def case_a_grayscale_image_whose_layers_are_not_meant_stays_grayscale():
    image, layer = photo(alpha=False)
    pdb.gimp_image_convert_grayscale(image)
    other, stranger = photo(alpha=False)
    pdb.gimp_image_convert_grayscale(other)
    stays_grayscale("is a layer of another image", image, stranger)
    channel = pdb.gimp_channel_new(image, 20, 20, "c", 50.0, (0, 0, 0))
    pdb.gimp_image_insert_channel(image, channel, None, 0)
    stays_grayscale("is a channel", image, channel)
    pdb.gimp_layer_scale(layer, 40, 40, False)
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 60, 50, 5, 5)
    stays_grayscale("does not touch the layer", image, layer)


def case_a_grayscale_image_that_gets_no_colors_stays_grayscale():
    image, layer = photo(alpha=False)
    done(image, layer)  # which leaves a parasite
    pdb.gimp_image_convert_grayscale(image)
    pdb.gimp_image_clean_all(image)
    for output in ("replace", "new-layer"):
        done(image, layer, "plug-in-vae-balance-colorize", strength=0.0, output=output)
        assert image.base_type == gimpenums.GRAY and not pdb.gimp_image_is_dirty(image)


def case_colors_above_what_cannot_be_replaced():
    def is_colored(layer):
        return any(max(p[:3]) - min(p[:3]) > 3 for row in rows_of(layer) for p in row)

    image, layer = photo(alpha=False)
    pdb.gimp_image_convert_grayscale(image)
    pdb.gimp_item_set_lock_content(layer, True)
    stays_grayscale("are locked", image, layer)
    done(image, layer, "plug-in-vae-balance-colorize", output="new-layer")
    assert is_colored(image.layers[0]) and not is_colored(image.layers[1])

    for mode in (gimpenums.LAYER_MODE_NORMAL, gimpenums.LAYER_MODE_PASS_THROUGH):
        image, layer = photo(alpha=False)
        pdb.gimp_image_convert_grayscale(image)
        group = pdb.gimp_layer_group_new(image)
        image.insert_layer(group, position=0)
        pdb.gimp_image_reorder_item(image, layer, group, 0)
        group.mode = mode
        stays_grayscale("is a layer group", image, group)
        done(image, group, "plug-in-vae-balance-colorize", output="new-layer")
        assert len(image.layers) == 2 and is_colored(image.layers[0])
        assert not is_colored(group.children[0])


def case_only_selected_pixels_change_whatever_is_learned_from():
    for source in ("layer", "selection"):
        for precision in ("U8_GAMMA", "U16_GAMMA"):
            image, layer = photo(precision)
            shown = image.duplicate()
            to_8_bits(shown)
            before = rows_of(shown.layers[0])
            pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 20, 10, 30, 25)
            done(image, layer, learn_from=source)
            to_8_bits(image)
            everywhere_else(before, rows_of(image.layers[0]), (20, 10, 30, 25))
            assert origin(image.layers[0])["learned_from"] == source


def case_a_look_of_the_selection_is_the_same_with_and_without_an_alpha_channel():
    for precision in ("U8_GAMMA", "U16_LINEAR", "HALF_GAMMA", "FLOAT_GAMMA"):
        looks = []
        for alpha in (False, True):
            image, layer = photo(precision, alpha=False)
            if alpha:
                layer.add_alpha()
            pdb.gimp_image_select_ellipse(image, gimpenums.CHANNEL_OP_REPLACE, 10, 10, 40, 30)
            done(image, layer, learn_from="selection")
            looks.append(origin(layer)["lut_sha256"])
        assert looks[0] == looks[1], precision


def case_what_is_not_selected_is_not_looked_at():
    for precision in ("U8_GAMMA", "U16_GAMMA", "FLOAT_LINEAR"):
        looks = []
        for paint in (False, True):
            image, layer = photo(precision, alpha=False)
            pdb.gimp_image_select_ellipse(image, gimpenums.CHANNEL_OP_REPLACE, 10, 10, 40, 30)
            if paint:
                kept = pdb.gimp_selection_save(image)
                pdb.gimp_selection_grow(image, 2)  # beyond pixels that are selected in part
                pdb.gimp_selection_invert(image)
                gimp.set_foreground((255, 0, 255))
                pdb.gimp_edit_fill(layer, gimpenums.FILL_FOREGROUND)
                pdb.gimp_image_select_item(image, gimpenums.CHANNEL_OP_REPLACE, kept)
            done(image, layer, learn_from="selection")
            looks.append(origin(layer)["lut_sha256"])
        assert looks[0] == looks[1], precision


def case_a_feathered_selection_blends():
    image, layer = photo(alpha=False)
    before = rows_of(layer)
    whole = image.duplicate()
    done(whole, whole.layers[0])
    full = rows_of(whole.layers[0])
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 30, 0, 50, 60)
    pdb.gimp_selection_feather(image, 12.0)
    done(image, layer)
    after = rows_of(layer)

    def moved(x):  # how far a column went on the way to the full result
        places = [(y, c) for y in range(20, 40) for c in range(3)]
        way = sum(abs(full[y][x][c] - before[y][x][c]) for y, c in places)
        return sum(abs(after[y][x][c] - before[y][x][c]) for y, c in places) / way

    assert moved(5) == 0
    assert 0.2 < moved(30) < 0.8, moved(30)
    assert moved(60) > 0.97, moved(60)
    assert moved(20) < moved(28) < moved(36) < moved(44)


def case_a_layer_with_offsets_and_a_selection_in_the_image():
    image, layer = photo()
    layer.set_offsets(-15, 7)
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 0, 0, 20, 20)
    before = rows_of(layer)
    done(image, layer, learn_from="selection")
    everywhere_else(before, rows_of(layer), (15, 0, 20, 13))


def case_locked_alpha_and_a_layer_mask_stay():
    image, layer = photo()
    layer.lock_alpha = True
    mask = layer.create_mask(gimpenums.ADD_WHITE_MASK)
    layer.add_mask(mask)
    layer.edit_mask = False
    before, mask_before = native(layer), native(mask)
    done(image, layer)
    after = native(layer)
    assert before != after and before[3::4] == after[3::4]
    assert native(mask) == mask_before and layer.lock_alpha


def case_a_new_layer_comes_above_and_the_old_one_stays():
    image, layer = photo()
    layer.set_offsets(3, 4)
    layer.opacity = 40.0
    below = gimp.Layer(image, "below", 5, 5, gimpenums.RGBA_IMAGE, 100, gimpenums.NORMAL_MODE)
    image.insert_layer(below, position=1)
    before, rows = native(layer), rows_of(layer)
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 0, 0, 40, 70)
    done(image, layer, output="new-layer")
    names = [each.name for each in image.layers]
    assert names == [layer.name + ", balanced", layer.name, "below"], names
    new = image.layers[0]
    assert new.offsets == (3, 4) and round(new.opacity) == 40
    assert native(layer) == before and not origin(layer) and origin(new)
    everywhere_else(rows, rows_of(new), (0, 0, 37, 66))


def canvas(image):
    """Return what the canvas shows, R'G'B'A of 8 bits."""
    copy = image.duplicate()
    seen = pdb.gimp_image_merge_visible_layers(copy, gimpenums.CLIP_TO_IMAGE)
    if not seen.has_alpha:
        seen.add_alpha()
    pdb.gimp_layer_resize_to_image_size(seen)
    pixels = bytearray(native(seen))
    gimp.delete(copy)
    return pixels


def apart(one, other):
    return max(abs(a - b) for a, b in zip(one, other))


def case_a_new_layer_makes_the_canvas_as_replacing_the_pixels_does():
    for mode, opacity, alpha, masked in (
        (gimpenums.LAYER_MODE_NORMAL, 100.0, False, False),
        (gimpenums.LAYER_MODE_MULTIPLY, 30.0, False, False),
        (gimpenums.LAYER_MODE_NORMAL, 40.0, False, False),
        (gimpenums.LAYER_MODE_NORMAL, 100.0, True, False),
        (gimpenums.LAYER_MODE_NORMAL, 100.0, False, True),
    ):
        canvases = []
        for output in ("replace", "new-layer"):
            image, layer = photo(alpha=alpha)
            below = layer.copy()
            image.insert_layer(below, position=1)
            pdb.gimp_drawable_invert(below, False)
            layer.mode, layer.opacity = mode, opacity
            if masked:
                layer.add_mask(layer.create_mask(gimpenums.ADD_COPY_MASK))
            before = canvas(image)
            done(image, layer, output=output)
            canvases.append(canvas(image))
            assert apart(before, canvases[-1]) > 5
        assert apart(*canvases) <= 1, (mode, opacity, alpha, masked)
        plain = mode == gimpenums.LAYER_MODE_NORMAL and opacity == 100.0
        assert bool(layer.visible) == (plain and not alpha and not masked)


def case_a_new_layer_above_a_group_shows_what_the_group_showed():
    for mode in (gimpenums.LAYER_MODE_PASS_THROUGH, gimpenums.LAYER_MODE_NORMAL):
        for inner in (gimpenums.LAYER_MODE_NORMAL, gimpenums.LAYER_MODE_MULTIPLY):
            image, layer = photo(alpha=False)
            group = pdb.gimp_layer_group_new(image)
            image.insert_layer(group, position=0)
            shade = layer.copy()
            image.insert_layer(shade, group, 0)
            pdb.gimp_layer_scale(shade, 60, 70, False)
            shade.set_offsets(10, 5)
            shade.mode, group.mode = inner, mode
            before = canvas(image)
            by_hand = image.duplicate()
            if mode == gimpenums.LAYER_MODE_PASS_THROUGH:
                twin = pdb.gimp_layer_new_from_visible(by_hand, by_hand, "seen")
                by_hand.insert_layer(twin, position=0)
                twin.resize(60, 70, -10, -5)
            else:
                twin = gimp.Layer(by_hand, "twin", 60, 70, gimpenums.RGBA_IMAGE, 100.0, mode)
                by_hand.insert_layer(twin, position=0)
                write(twin, native(by_hand.layers[1]))
                twin.set_offsets(10, 5)
                by_hand.layers[1].visible = False
            done(by_hand, twin)
            done(image, group, output="new-layer")
            assert apart(canvas(image), before) > 5, (mode, inner)
            assert apart(canvas(image), canvas(by_hand)) <= 1, (mode, inner)


def case_a_layer_mask_that_is_selected_means_its_layer():
    image, layer = photo()
    mask = layer.create_mask(gimpenums.ADD_WHITE_MASK)
    layer.add_mask(mask)
    before, mask_before = native(layer), native(mask)
    done(image, mask)
    assert native(layer) != before and native(mask) == mask_before


def case_a_floating_selection_of_a_mask_stays():
    image, layer = photo()
    mask = layer.create_mask(gimpenums.ADD_COPY_MASK)
    layer.add_mask(mask)
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 0, 0, 20, 20)
    floating = pdb.gimp_selection_float(mask, 0, 0)
    before = native(floating)
    refused("is a part of a mask", image, floating)
    assert native(floating) == before


def case_a_layer_of_another_image_is_refused():
    _image, layer = photo()
    other, _layer = photo()
    refused("is a layer of another image", other, layer)


def case_a_look_that_changes_nothing_leaves_no_step_to_undo():
    for output in ("replace", "new-layer"):
        image, layer = photo()
        pdb.gimp_image_clean_all(image)
        done(image, layer, output=output, strength=0.0)
        SAID.append("strength of 0 leaves")
        assert not pdb.gimp_image_is_dirty(image) and len(image.layers) == 1
        done(image, layer, output=output)
        assert pdb.gimp_image_is_dirty(image)


def case_lut_files_whose_names_are_not_utf_8():
    image, layer = photo()
    done(image, layer, output="lut", lut_file="/io/gr\xfcn.cube")
    assert os.path.exists("/io/gr\xfcn.cube")
    apply_lut(image, layer, lut_file="/io/gr\xfcn.cube")
    assert origin(layer)


def case_groups_text_and_locked_layers():
    image, layer = photo()
    group = pdb.gimp_layer_group_new(image)
    image.insert_layer(group, position=0)
    pdb.gimp_image_reorder_item(image, layer, group, 0)
    refused("is a layer group", image, group)
    done(image, group, output="new-layer")
    assert len(image.layers) == 2 and origin(image.layers[0])
    assert not pdb.gimp_item_is_group(image.layers[0])
    image.remove_layer(image.layers[0])
    layer = group.children[0]
    pdb.gimp_item_set_lock_content(layer, True)
    refused("are locked", image, layer)
    done(image, layer, output="new-layer")
    assert len(group.children) == 2
    assert not pdb.gimp_item_get_lock_content(group.children[0])
    text = pdb.gimp_text_layer_new(image, "Colors", "Sans", 20.0, gimpenums.UNIT_PIXEL)
    image.insert_layer(text, position=0)
    refused("draws the pixels", image, text)
    # Text of one color is left alone when a look is learned.
    apply_lut(image, text, lut_file="/io/inverse.cube", output="new-layer")
    new = image.layers[0]
    assert not pdb.gimp_item_is_text_layer(new) and pdb.gimp_item_is_text_layer(text)
    assert native(new)[3::4] == native(text)[3::4]


def case_what_is_no_layer_of_colors():
    image, layer = photo()
    channel = pdb.gimp_selection_save(image)
    channel.name = "Farbauszug"
    refused("Farbauszug\xe2\x80\x9d is a channel", image, channel)
    pdb.gimp_image_convert_grayscale(image)
    refused("is grayscale or indexed", image, layer)
    image, layer = photo(alpha=False)
    pdb.gimp_image_convert_indexed(
        image, gimpenums.NO_DITHER, gimpenums.MAKE_PALETTE, 4, False, False, ""
    )
    refused("is grayscale or indexed", image, layer)


def case_selections_that_do_not_fit():
    image, layer = photo()
    refused("There is no selection to learn from", image, layer, learn_from="selection")
    layer.set_offsets(300, 300)
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 0, 0, 20, 20)
    refused("does not touch the layer", image, layer)
    refused("does not touch the layer", image, layer, output="lut", lut_file="/io/no.cube")
    assert not os.path.exists("/io/no.cube")


def case_a_floating_selection():
    image, layer = photo()
    pdb.gimp_image_select_rectangle(image, gimpenums.CHANNEL_OP_REPLACE, 0, 0, 20, 20)
    floating = pdb.gimp_selection_float(layer, 0, 0)
    refused("above a floating selection", image, floating, output="new-layer")
    before = native(floating)
    done(image, floating)
    assert native(floating) != before


def case_arguments_models_and_files_that_do_not_exist():
    image, layer = photo()
    refused("iterations is 11: it must be 0 to 10", image, layer, iterations=11)
    refused("strength is 1.6: it must be 0.0 to 1.5", image, layer, strength=1.6)
    refused("it must be one of layer, selection", image, layer, learn_from="image")
    refused("no such model", image, layer, model="nobody's")
    refused("Choose the LUT file to write", image, layer, output="lut")
    refused("does not exist", image, layer, lut_file="/nowhere/look.cube")
    refused("must end in .cube", image, layer, lut_file="/io/look.txt")
    refused("cannot be written", image, layer, lut_file="/proc/look.cube")
    name = "plug-in-vae-balance-apply-lut"
    refused("Choose the LUT file to apply", image, layer, name)
    refused("There is no LUT file", image, layer, name, lut_file="/io/none.cube")
    with open("/io/bad.cube", "w") as file:
        file.write("LUT_3D_SIZE 2\n0 0 nothing\n")
    refused("bad.cube", image, layer, name, lut_file="/io/bad.cube")


def case_a_lut_file_is_what_is_applied():
    image, layer = photo(alpha=False)
    other = image.duplicate()
    before = native(layer)
    done(image, layer, output="lut", lut_file="/io/nur gr\xc3\xbcn.cube", lut_size=17)
    assert native(layer) == before and not origin(layer)
    done(image, layer, lut_file="/io/both.cube")
    with open("/io/both.cube") as file:
        text = file.read()
    assert origin(layer)["lut_sha256"] in text and "model: embedded" in text
    with open("/io/nur gr\xc3\xbcn.cube") as file:
        assert "LUT_3D_SIZE 17\n" in file.read()
    expected = bytearray(native(layer))
    last = other.duplicate()
    apply_lut(other, other.layers[0], lut_file="/io/both.cube")
    assert difference(bytearray(native(other.layers[0])), expected) <= 1
    assert origin(other.layers[0])["lut_file"] == "both.cube"
    apply_lut(last, last.layers[0], source="last", output="new-layer")
    assert difference(bytearray(native(last.layers[0])), expected) <= 1
    assert native(last.layers[1]) == before


def case_the_origin_tells_the_options():
    image, layer = photo()
    done(image, layer, iterations=3, strength=0.5)
    told = origin(layer)
    assert (told["iterations"], told["strength"], told["model"]) == (3, 0.5, "embedded")
    assert told["version"] and told["model_version"] and len(told["lut_sha256"]) == 64
    assert layer.parasite_find("vae-balance").is_persistent


def case_last_values_without_an_earlier_run_are_the_defaults():
    image, layer = photo()
    done(image, layer, run_mode=gimpenums.RUN_WITH_LAST_VALS, iterations=9, strength=0.0)
    assert (origin(layer)["iterations"], origin(layer)["strength"]) == ("auto", 1.0)


def case_the_average_of_mixed_light_is_a_lut_file_where_someone_reads_the_warning():
    """After a dialog, whose values gimpfu keeps and takes without one; not in a script."""
    image = pdb.gimp_file_load("/io/lit.png", "lit.png")
    layer = image.layers[0]
    given = {"model": "mixed-light", "output": "lut", "lut_file": "/io/lit.cube"}
    refused("differs from place to place", image, layer, **given)
    assert not os.path.exists("/io/lit.cube")
    key = "python-fu-save--plug-in-vae-balance"
    defaults = dict(BALANCE, iterations=0)
    order = ORDER["plug-in-vae-balance"][1]
    try:
        last = dict(defaults, **given)
        gimpshelf.shelf[key] = [None, None] + [last[name] for name in order]
        before = native(layer)
        done(image, layer, run_mode=gimpenums.RUN_WITH_LAST_VALS)
    finally:
        gimpshelf.shelf[key] = [None, None] + [defaults[name] for name in order]
    assert native(layer) == before
    SAID.append("The LUT file is an average")
    with open("/io/lit.cube") as file:
        assert "\n# average: over the places of a look that differs" in file.read()
    done(image, layer, model="mixed-light")
    assert native(layer) != before and origin(layer)["model"] == "mixed-light"


def run_all():
    results = {}
    for name in sorted(name for name in globals() if name.startswith("case_")):
        del SAID[:]
        error = ""
        print("\n== " + name, file=sys.stderr)
        try:
            globals()[name]()
        except BaseException:
            error = traceback.format_exc()
        for image in gimp.image_list():
            gimp.delete(image)
        results[name] = {"error": error, "said": list(SAID)}
        with open("/io/results.json", "w") as file:
            json.dump(results, file)
    print("\n== end", file=sys.stderr)


gimpfu.register(
    "python-fu-vae-balance-cases", "", "", "", "", "", None, None, [], [], run_all
)  # fmt: skip
gimpfu.main()
