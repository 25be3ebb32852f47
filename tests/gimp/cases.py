"""What is checked inside a real GIMP 3; python-fu-eval runs this file.

Each function named case_... is a test of `test_gimp3.py`, which has prepared /io. All of them run
in one GIMP; what they raise goes to /io/results.json. No numpy here: GIMP's Python has none.
"""

import json
import os
import struct
import sys
import threading
import time
import traceback

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp, Gio

sys.path.insert(0, os.path.join(Gimp.directory(), "plug-ins", "vae-balance"))

BALANCE, APPLY = "plug-in-vae-balance", "plug-in-vae-balance-apply-lut"
COLORIZE = "plug-in-vae-balance-colorize"
PRECISIONS = [
    f"{kind}_{curve}"
    for kind in ("U8", "U16", "U32", "HALF", "FLOAT", "DOUBLE")
    for curve in ("LINEAR", "NON_LINEAR", "PERCEPTUAL")
]
ITEMS = {"U8": "B", "U16": "H", "U32": "I", "HALF": "e", "FLOAT": "f", "DOUBLE": "d"}


# Tools


def call(image, layers, name=BALANCE, **arguments):
    """Run a procedure; return None, or the message of its error."""
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", layers)
    for key, value in arguments.items():
        if key == "lut_file":
            value = Gio.File.new_for_path(value)
        config.set_property(key.replace("_", "-"), value)
    status = procedure.run(config).index(0)
    if status == Gimp.PDBStatusType.SUCCESS:
        return None
    if status == Gimp.PDBStatusType.CALLING_ERROR:
        return "GIMP refuses the arguments"
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR, status
    return Gimp.get_pdb().get_last_error()


def done(image, layers, name=BALANCE, **arguments):
    error = call(image, layers, name, **arguments)
    assert error is None, error


def refused(words, image, layers, name=BALANCE, **arguments):
    """Check that the procedure refuses in so many words, and changes nothing."""
    before = [native(layer) for layer in image.get_layers() if not layer.is_group()]
    count = len(image.get_layers())
    error = call(image, layers, name, **arguments)
    assert error and words in error and "Traceback" not in error, error
    assert len(image.get_layers()) == count
    assert before == [native(layer) for layer in image.get_layers() if not layer.is_group()]


def load(name):
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(f"/io/{name}"))


def save(image, name):
    file = Gio.File.new_for_path(f"/io/{name}")
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)


def photo(precision="U8_NON_LINEAR", alpha=True):
    """Return the photo of the tests as an image with one layer, with all kinds of alpha."""
    image = load("photo.png")
    if precision != "U8_NON_LINEAR":
        image.convert_precision(getattr(Gimp.Precision, precision))
    layer = image.get_layers()[0]
    if alpha:
        layer.add_alpha()
        kind = ITEMS[precision.split("_")[0]]
        values = list(native_values(layer, kind))
        full = 1.0 if kind in "efd" else 2 ** (8 * struct.calcsize(kind)) - 1
        # A third of a number of steps is no value of a coarser type.
        steps = [full * (0.1 + 0.9 * (i % 97) / 97) for i in range(len(values) // 4)]
        values[3::4] = steps if kind in "efd" else [int(step) | 1 for step in steps]
        write(layer, struct.pack(f"<{len(values)}{kind}", *values))
    return image, layer


def area(layer):
    return Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())


def native(layer):
    """Return the pixels as GIMP stores them."""
    return layer.get_buffer().get(area(layer), 1.0, None, Gegl.AbyssPolicy.NONE)


def native_values(layer, kind):
    data = native(layer)
    return struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data)


def write(layer, data):
    buffer = layer.get_buffer()
    buffer.set(area(layer), Babl.get_name(layer.get_format()), bytes(data))
    buffer.flush()


def colors(layer):
    """Return R'G'B'A of all pixels as floats, in the layer's own space."""
    space = Babl.format_get_space(layer.get_format())
    name = Babl.get_name(Babl.format_with_space("R'G'B'A float", space))
    data = layer.get_buffer().get(area(layer), 1.0, name, Gegl.AbyssPolicy.NONE)
    return struct.unpack(f"<{len(data) // 4}f", data)


def rows_of(layer):
    """Return the pixels, 8 bits, as rows of (r, g, b, a)."""
    data = layer.get_buffer().get(area(layer), 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
    pixels = [tuple(data[i : i + 4]) for i in range(0, len(data), 4)]
    width = layer.get_width()
    return [pixels[i : i + width] for i in range(0, len(pixels), width)]


def origin(layer):
    parasite = layer.get_parasite("vae-balance")
    return parasite and json.loads(bytes(parasite.get_data()))


def difference(one, other):
    """Return the largest difference of colors, alpha apart."""
    return max(abs(a - b) for i, (a, b) in enumerate(zip(one, other)) if i % 4 < 3)


BALANCED = {}


def balanced():
    """Return the colors that the photo has after balancing."""
    if not BALANCED:
        image, layer = photo(alpha=False)
        before = colors(layer)
        done(image, [layer])
        BALANCED["colors"] = colors(layer)
        assert difference(before, BALANCED["colors"]) > 0.05, "the photo's cast is not touched"
        image.delete()
    return BALANCED["colors"]


# Cases


def case_all_entries_are_in_the_menu():
    for name, label, place in (
        (BALANCE, "VAE _Balance...", "//[1]"),  # above the others, as the tour sees
        (APPLY, "VAE _LUT...", ""),
        (COLORIZE, "Colori_ze Photo...", ""),
    ):
        procedure = Gimp.get_pdb().lookup_procedure(name)
        paths = ["<Image>/Filters/Color" + place, "<Image>/Colors" + place]
        found = procedure.get_menu_paths()  # 3.2 tells them with single slashes
        assert found in (paths, [path.replace("//", "/") for path in paths]), found
        assert procedure.get_menu_label() == label
        assert procedure.get_blurb() and procedure.get_help()
        for argument in procedure.get_arguments():
            assert argument.blurb, argument.name


def case_photos_of_each_kind_are_balanced_as_the_command_line_does():
    """The comparison is done outside of GIMP."""
    for name in ("photo.png", "astronaut.png", "deep.png", "adobe.tif", "linear.tif"):
        image = load(name)
        layer = image.get_layers()[0]
        done(image, [layer], iterations=2, strength=0.9)
        save(image, f"gimp-{name}")
        image.delete()


def precision_case(precision):
    def case():
        image, layer = photo(precision)
        kind = ITEMS[precision.split("_")[0]]
        before = native_values(layer, kind)
        expected = balanced()
        done(image, [layer])
        after = native_values(layer, kind)
        # GIMP itself merges these in single floats.
        rounding = {"DOUBLE": 2**-24, "U32_PERCEPTUAL": 2**8}
        allowed = rounding.get(precision, rounding.get(precision.split("_")[0], 0))
        moved = max(abs(a - b) for a, b in zip(before[3::4], after[3::4]))
        assert moved <= allowed, f"alpha changed by {moved}"
        # What 8 bits of linear light cannot tell apart near black, no plug-in can.
        coarse = 0.1 if precision == "U8_LINEAR" else 1.6 / 255
        assert difference(colors(layer), expected) < coarse, difference(colors(layer), expected)
        image.delete()

    case.__name__ = f"case_precision_{precision.lower()}"
    return case


for _precision in PRECISIONS:
    globals()[f"case_precision_{_precision.lower()}"] = precision_case(_precision)


def case_values_beyond_white_and_black_survive():
    image, layer = photo("FLOAT_LINEAR", alpha=False)
    values = list(native_values(layer, "f"))
    values[:6] = [4.0, 4.0, 4.0, -0.2, -0.2, -0.2]
    write(layer, struct.pack(f"<{len(values)}f", *values))
    done(image, [layer], strength=0.5)
    after = native_values(layer, "f")
    assert min(after[:3]) > 1.2 and max(after[3:6]) < 0, after[:6]
    image.delete()


def case_white_and_black_of_floats_stay_in_range():
    for strength in (1.0, 1.5):
        image, layer = photo("FLOAT_NON_LINEAR", alpha=False)
        values = list(native_values(layer, "f"))
        values[:6] = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
        write(layer, struct.pack(f"<{len(values)}f", *values))
        done(image, [layer], strength=strength)
        after = native_values(layer, "f")
        assert min(after) > -1e-6 and max(after) < 1 + 1e-6, (min(after), max(after))
        image.delete()


def case_only_selected_pixels_change_whatever_is_learned_from():
    for source in ("layer", "selection"):
        image, layer = photo()
        before = rows_of(layer)
        image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 10, 30, 25)
        done(image, [layer], learn_from=source)
        after = rows_of(layer)
        changed = 0
        for y, (old, new) in enumerate(zip(before, after)):
            for x, (one, other) in enumerate(zip(old, new)):
                inside = 20 <= x < 50 and 10 <= y < 35
                assert inside or one == other, (x, y)
                assert one[3] == other[3]
                changed += one != other
        assert changed > 0.9 * 30 * 25, changed
        assert origin(layer)["learned_from"] == source
        image.delete()


def case_a_look_learned_from_the_layer_is_the_same_with_and_without_a_selection():
    image, layer = photo(alpha=False)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 10, 30, 25)
    done(image, [layer])
    width = layer.get_width()
    expected, got = balanced(), colors(layer)
    for y in range(10, 35):
        row = slice(4 * (y * width + 20), 4 * (y * width + 50))
        assert difference(expected[row], got[row]) < 1e-4
    image.delete()


def case_a_feathered_selection_blends():
    image, layer = photo(alpha=False)
    before = colors(layer)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 30, 0, 50, 60)
    Gimp.Selection.feather(image, 12.0)
    done(image, [layer])
    after, full = colors(layer), balanced()
    width = layer.get_width()

    def moved(x):  # how far a column went on the way to the full result
        places = [4 * (y * width + x) + c for y in range(20, 40) for c in range(3)]
        way = sum(abs(full[p] - before[p]) for p in places)
        return sum(abs(after[p] - before[p]) for p in places) / way

    assert moved(5) == 0
    assert 0.2 < moved(30) < 0.8, moved(30)
    assert moved(60) > 0.98
    assert moved(20) < moved(28) < moved(36) < moved(44)
    image.delete()


def case_a_layer_with_offsets_and_a_selection_in_the_image():
    image, layer = photo()
    layer.set_offsets(-15, 7)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)
    before = rows_of(layer)
    done(image, [layer], learn_from="selection")
    after = rows_of(layer)
    touched = [
        (x, y)
        for y, (old, new) in enumerate(zip(before, after))
        for x, (one, other) in enumerate(zip(old, new))
        if one != other
    ]
    assert min(touched) == (15, 0) and max(touched) == (34, 12), (min(touched), max(touched))
    image.delete()


def case_what_is_not_selected_is_not_looked_at():
    looks = []
    for paint in (False, True):
        image, layer = photo(alpha=False)
        image.select_ellipse(Gimp.ChannelOps.REPLACE, 10, 10, 40, 30)
        if paint:
            kept = Gimp.Selection.save(image)
            Gimp.Selection.grow(image, 2)  # beyond pixels that are selected in part
            Gimp.Selection.invert(image)
            Gimp.context_set_foreground(Gegl.Color.new("fuchsia"))
            layer.edit_fill(Gimp.FillType.FOREGROUND)
            image.select_item(Gimp.ChannelOps.REPLACE, kept)
        done(image, [layer], learn_from="selection")
        looks.append(origin(layer)["lut_sha256"])
        image.delete()
    assert looks[0] == looks[1]


def case_locked_alpha_and_a_layer_mask_stay():
    image, layer = photo()
    layer.set_lock_alpha(True)
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    before, mask_before = native(layer), native(mask)
    layer.set_edit_mask(False)
    done(image, [layer])
    after = native(layer)
    assert before != after and before[3::4] == after[3::4]
    assert native(mask) == mask_before and layer.get_lock_alpha()
    image.delete()


def case_an_alpha_of_zero_does_not_count():
    image, layer = photo(alpha=False)
    layer.add_alpha()
    data = bytearray(native(layer))
    width = layer.get_width()
    for y in range(layer.get_height()):
        for x in range(30):
            at = 4 * (y * width + x)
            data[at : at + 4] = b"\xff\x00\xff\x00"
    write(layer, data)
    done(image, [layer])
    after = native(layer)
    assert after[3::4] == data[3::4]
    sha = origin(layer)["lut_sha256"]
    for y in range(layer.get_height()):
        for x in range(30):
            at = 4 * (y * width + x)
            data[at : at + 4] = b"\x00\xff\x00\x00"
    write(layer, data)
    done(image, [layer])
    assert origin(layer)["lut_sha256"] == sha
    image.delete()


def case_several_layers_each_learn_a_look():
    image, layer = photo()
    other = layer.copy()
    image.insert_layer(other, None, 0)
    other.invert(False)
    done(image, [layer, other])
    one, two = origin(layer), origin(other)
    assert one["lut_sha256"] != two["lut_sha256"]
    image.delete()


def case_a_layer_outside_of_the_selection_stays_while_the_other_changes():
    image, layer = photo()
    other = layer.copy()
    image.insert_layer(other, None, 0)
    other.set_offsets(200, 0)
    before = native(other)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)
    done(image, [layer, other])
    assert origin(layer) and not origin(other) and native(other) == before
    image.delete()


def case_a_new_layer_comes_above_and_the_old_one_stays():
    image, layer = photo()
    layer.set_offsets(3, 4)
    layer.set_opacity(40.0)
    below = Gimp.Layer.new(
        image, "below", 5, 5, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL
    )
    image.insert_layer(below, None, 1)
    before = native(layer)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 40, 70)
    done(image, [layer], output="new-layer")
    names = [each.get_name() for each in image.get_layers()]
    assert len(names) == 3 and names[1:] == [layer.get_name(), "below"], names
    new = image.get_layers()[0]
    assert new.get_offsets()[1:] == layer.get_offsets()[1:] and new.get_opacity() == 40.0
    assert native(layer) == before and not origin(layer) and origin(new)
    after = rows_of(new)
    assert after != rows_of(layer)
    assert [row[37:] for row in after] == [row[37:] for row in rows_of(layer)]
    image.delete()


def canvas(image):
    """Return what the canvas shows, R'G'B'A of 8 bits."""
    copy = image.duplicate()
    seen = copy.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
    seen.resize_to_image_size()
    pixels = seen.get_buffer().get(area(seen), 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
    copy.delete()
    return bytes(pixels)


def apart(one, other):
    """Return the largest difference of two canvases."""
    assert len(one) == len(other)
    return max(abs(a - b) for a, b in zip(one, other))


def stacked(**form):
    """Return an image of two layers, the upper one a photo with a form, and this one."""
    image, layer = photo(alpha=form.pop("alpha", False))
    below = layer.copy()
    image.insert_layer(below, None, 1)
    below.invert(False)
    if "mode" in form:
        layer.set_mode(form["mode"])
    layer.set_opacity(form.get("opacity", 100.0))
    if form.get("mask"):
        mask = layer.create_mask(Gimp.AddMaskType.COPY)
        layer.add_mask(mask)
        layer.set_edit_mask(False)
    return image, layer


def case_a_new_layer_makes_the_canvas_as_replacing_the_pixels_does():
    for form in (
        {},
        {"mode": Gimp.LayerMode.MULTIPLY, "opacity": 30.0},
        {"opacity": 40.0},
        {"alpha": True},
        {"mask": True},
        {"mode": Gimp.LayerMode.SCREEN, "alpha": True, "mask": True},
    ):
        replaced, layer = stacked(**form)
        done(replaced, [layer])
        image, layer = stacked(**form)
        before = canvas(image)
        done(image, [layer], output="new-layer")
        assert apart(canvas(image), before) > 5, form
        assert apart(canvas(image), canvas(replaced)) <= 1, form
        # Where the old layer cannot be seen anyway, it stays to compare with.
        assert layer.get_visible() == (not form), form
        assert image.get_layers()[0].get_visible()
        image.delete()
        replaced.delete()


def case_a_new_layer_above_a_group_shows_what_the_group_showed():
    for mode, opacity in (
        (Gimp.LayerMode.NORMAL, 100.0),
        (Gimp.LayerMode.PASS_THROUGH, 100.0),
        (Gimp.LayerMode.PASS_THROUGH, 60.0),
        (Gimp.LayerMode.MULTIPLY, 50.0),
    ):
        for inner in (Gimp.LayerMode.NORMAL, Gimp.LayerMode.MULTIPLY):
            image, layer = photo(alpha=False)
            shade = layer.copy()
            group = Gimp.GroupLayer.new(image)
            image.insert_layer(group, None, 0)
            image.insert_layer(shade, group, 0)
            top = layer.copy()
            image.insert_layer(top, None, 0)
            top.set_opacity(0.0)
            shade.set_mode(inner)
            shade.scale(60, 70, False)
            shade.set_offsets(10, 5)
            group.set_mode(mode)
            group.set_opacity(opacity)
            before = canvas(image)
            # The same by hand: what is seen of the group, as a layer that is replaced.
            by_hand = image.duplicate()
            whole = by_hand.get_layers()[1]
            if mode == Gimp.LayerMode.PASS_THROUGH:
                twin = Gimp.Layer.new_from_visible(by_hand, by_hand, "seen")
                by_hand.insert_layer(twin, None, 1)
                twin.resize(whole.get_width(), whole.get_height(), -10, -5)
            else:
                twin = whole.merge()
            done(by_hand, [twin])
            done(image, [group], output="new-layer")
            assert apart(canvas(image), before) > 5, (mode, inner)
            assert apart(canvas(image), canvas(by_hand)) <= 1, (mode, opacity, inner)
            names = [each.get_name() for each in image.get_layers()]
            assert names[1:3] == ["Layer Group, balanced", "Layer Group"], names
            image.delete()
            by_hand.delete()


def case_a_group_in_a_group_keeps_what_is_around_it():
    image, layer = photo(alpha=False)
    outer, inner = Gimp.GroupLayer.new(image), Gimp.GroupLayer.new(image)
    image.insert_layer(outer, None, 0)
    image.insert_layer(inner, outer, 0)
    image.insert_layer(layer.copy(), inner, 0)
    outer.set_opacity(50.0)
    layer.invert(False)
    before = canvas(image)
    for mode in (Gimp.LayerMode.NORMAL, Gimp.LayerMode.PASS_THROUGH):
        inner.set_mode(mode)
        copy = image.duplicate()
        done(copy, [copy.get_layers()[0].get_children()[0]], output="new-layer")
        assert len(copy.get_layers()[0].get_children()) == 2
        new = copy.get_layers()[0].get_children()[0]
        assert difference(colors(new), balanced()) < 1.1 / 255
        assert apart(canvas(copy), before) > 5
        copy.delete()
    image.delete()


def case_what_filters_show_is_learned_from_and_balanced():
    plain, layer = photo(alpha=False)
    layer.invert(False)
    expected = plain.duplicate()
    expected.get_layers()[0].add_alpha()  # as what is seen of a layer with filters has
    done(expected, [expected.get_layers()[0]])
    for alpha in (False, True):
        for output in ("replace", "new-layer", "lut"):
            image, layer = photo(alpha=False)
            if alpha:
                layer.add_alpha()
            for visible in (True, False):
                extra = Gimp.DrawableFilter.new(layer, "gegl:invert-gamma", "")
                layer.append_filter(extra)
                extra.set_visible(visible)
            assert apart(canvas(image), canvas(plain)) == 0
            raw = native(layer)
            done(image, [layer], output=output, lut_file="/io/filtered.cube")
            with open("/io/filtered.cube") as file:
                assert origin(expected.get_layers()[0])["lut_sha256"] in file.read()
            if output == "lut":
                assert native(layer) == raw and apart(canvas(image), canvas(plain)) == 0
                assert len(image.get_layers()) == 1
                continue
            assert apart(canvas(image), canvas(expected)) <= 1, output
            if output == "new-layer":
                assert native(layer) == raw and len(layer.get_filters()) == 2
            else:
                # GIMP 3.0 drops those that are hidden, too; 3.2.6 keeps them.
                shown = [each for each in layer.get_filters() if each.get_visible()]
                assert layer.has_alpha() == alpha and not shown
            image.delete()


def case_a_filter_that_makes_the_layer_larger():
    for output in ("replace", "new-layer"):
        image, layer = photo(alpha=False)
        layer.add_alpha()
        image.resize(200, 200, 50, 50)
        shadow = Gimp.DrawableFilter.new(layer, "gegl:dropshadow", "")
        layer.append_filter(shadow)
        before = canvas(image)
        done(image, [layer], output=output)
        after, size = canvas(image), image.get_width()
        photo_at = [(x, y) for y in range(50, 130) for x in range(50, 150)]
        moved = sum(
            after[4 * (y * size + x) : 4 * (y * size + x) + 3]
            != before[4 * (y * size + x) : 4 * (y * size + x) + 3]
            for x, y in photo_at
        )
        assert moved > 0.9 * len(photo_at), moved
        assert after[3::4] == before[3::4]
        image.delete()


def case_a_layer_mask_that_is_selected_means_its_layer():
    image, layer = photo(alpha=False)
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    before = native(mask)
    done(image, [mask])
    assert difference(colors(layer), balanced()) < 1e-4 and native(mask) == before
    image.delete()


def case_a_floating_selection_of_a_mask_stays():
    image, layer = photo()
    mask = layer.create_mask(Gimp.AddMaskType.COPY)
    layer.add_mask(mask)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)
    floating = Gimp.Selection.float(image, [mask], 0, 0)
    before = native(floating)
    refused("part of a mask", image, [floating])
    assert native(floating) == before
    image.delete()


def case_a_layer_of_another_image_is_refused():
    image, layer = photo()
    other, _layer = photo()
    refused("another image", other, [layer])
    refused("another image", other, [layer], APPLY, source="last")
    image.delete()
    other.delete()


def transparent(precision):
    image, layer = photo(precision)
    kind = ITEMS[precision.split("_")[0]]
    values = list(native_values(layer, kind))
    values[3::4] = [0] * (len(values) // 4)
    write(layer, struct.pack(f"<{len(values)}{kind}", *values))
    return image, layer


def case_a_transparent_layer_stays():
    for precision in ("U8_NON_LINEAR", "U16_NON_LINEAR", "HALF_NON_LINEAR", "FLOAT_LINEAR"):
        image, layer = transparent(precision)
        image.clean_all()
        refused("is transparent", image, [layer])
        refused("is transparent", image, [layer], output="new-layer")
        refused("is transparent", image, [layer], APPLY, source="last")
        assert not image.is_dirty()
        image.delete()


def case_a_photo_beside_a_transparent_middle_is_looked_at():
    looks = []
    for source in ("layer", "selection"):
        image, layer = photo(alpha=False)
        layer.add_alpha()
        layer.resize(330, 80, 0, 0)
        if source == "selection":  # all of it, which is what is looked at
            image.resize(330, 80, 0, 0)
            Gimp.Selection.all(image)
        done(image, [layer], learn_from=source)
        looks.append(origin(layer)["lut_sha256"])
        image.delete()
    assert looks[0] == looks[1]


def case_a_sound_photo_is_left_alone():
    """The daemon says of a look that it changes nothing, whatever the photo."""
    from vae_balance_protocol.client import Client

    learn = Client.learn
    Client.learn = lambda *given, **fields: dict(learn(*given, **fields), unchanged=True)
    for output in ("replace", "new-layer"):
        image, layer = photo()
        image.clean_all()
        before = native(layer)
        notes = interrupted(image, layer, output=output, strength=1.5, notes=True)
        assert "Nothing to correct" in notes[0] and len(notes) == 1, notes
        assert native(layer) == before and not image.is_dirty() and not origin(layer)
        assert len(image.get_layers()) == 1
        image.delete()
    Client.learn = learn


def case_a_look_that_changes_nothing_leaves_no_step_to_undo():
    for output in ("replace", "new-layer"):
        image, layer = photo()
        image.clean_all()
        notes = interrupted(image, layer, output=output, strength=0.0, notes=True)
        assert "strength of 0" in notes[0], notes
        done(image, [layer], output=output, strength=0.0)
        done(image, [layer], APPLY, lut_file="/io/identity.cube", output=output)
        assert not image.is_dirty() and not origin(layer) and len(image.get_layers()) == 1
        done(image, [layer], output=output)
        assert image.is_dirty()
        image.delete()


def case_a_last_look_that_cannot_be_kept_does_not_stop_the_work():
    """/io/small is a file system with no room left."""
    for folder in ("/io/small", "/proc/nothing"):
        image, layer = photo(alpha=False)
        notes = interrupted(image, layer, last_look=f"{folder}/last-look.cube", notes=True)
        assert len(notes) == 1 and "not kept" in notes[0], notes
        assert origin(layer)
        image.delete()


def case_a_look_that_depends_on_the_place_knows_where_a_selection_lies():
    def grey():
        image, layer = photo(alpha=False)
        assert layer.desaturate(Gimp.DesaturateMode.LUMINANCE)
        return image, layer

    image, layer = grey()
    before = rows_of(layer)
    assert interrupted(image, layer, model="colorize-cross-channel", notes=True) == []
    whole = rows_of(layer)
    assert max(max(p[:3]) - min(p[:3]) for row in whole for p in row) > 3
    assert "lut_size" not in origin(layer) and origin(layer)["lut_sha256"]

    image, layer = grey()
    x, y, width, height = 40, 30, 60, 50
    image.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, width, height)
    interrupted(image, layer, model="colorize-cross-channel", notes=True)
    for row, pixels in enumerate(rows_of(layer)):
        for column, pixel in enumerate(pixels):
            inside = x <= column < x + width and y <= row < y + height
            assert pixel == (whole if inside else before)[row][column], (column, row)


def case_mixed_light_is_corrected_on_both_sides_within_alpha_and_selection():
    def lit():
        image = load("lit.png")
        image.scale(1280, 960)  # several strips
        layer = image.get_layers()[0]
        layer.add_alpha()
        values = bytearray(native(layer))
        values[3::4] = bytes(1 + i % 255 for i in range(len(values) // 4))
        write(layer, values)
        return image, layer

    def apart(pixels):
        """Return by how much the left is warmer than the right."""
        warm = [
            sum(pixels[y * 5120 + 4 * x] - pixels[y * 5120 + 4 * x + 2] for y in range(0, 960, 7))
            for x in (*range(0, 400, 7), *range(880, 1280, 7))
        ]
        half = len(warm) // 2
        return (sum(warm[:half]) - sum(warm[half:])) / half / 138

    image, layer = lit()
    before = native(layer)
    to_file = {"model": "mixed-light", "lut_file": "/io/lit.cube"}
    refused("differs from place to place", image, [layer], **to_file)
    assert not os.path.exists("/io/lit.cube")
    done(image, [layer], model="mixed-light")
    whole = native(layer)
    assert origin(layer)["model"] == "mixed-light" and "lut_size" not in origin(layer)
    assert whole[3::4] == before[3::4], "alpha changed"
    assert 0 < apart(whole) < 0.9 * apart(before), (apart(before), apart(whole))
    image.delete()

    image, layer = lit()
    x, y, width, height = 300, 200, 500, 600
    image.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, width, height)
    done(image, [layer], model="mixed-light")
    part = native(layer)
    for row in range(960):
        begin = row * 5120
        inside = y <= row < y + height
        left, right = (begin + 4 * x, begin + 4 * (x + width)) if inside else (begin, begin)
        assert part[begin:left] == before[begin:left], row
        assert part[left:right] == whole[left:right], row
        assert part[right : begin + 5120] == before[right : begin + 5120], row
    image.delete()


def case_a_grayscale_image_gets_colors_in_one_step():
    def grey():
        image, _layer = photo(alpha=False)
        image.convert_grayscale()
        return image, image.get_layers()[0]

    def spread(pixels):
        return max(max(p[:3]) - min(p[:3]) for row in pixels for p in row)

    image, layer = grey()
    image.clean_all()
    done(image, [layer], COLORIZE)
    assert image.get_base_type() == Gimp.ImageBaseType.RGB
    assert len(image.get_layers()) == 1 and spread(rows_of(layer)) > 3
    assert origin(layer)["model"] == "colorize-cross-channel"
    assert (origin(layer)["strength"], origin(layer)["tone"]) == (1.0, "drop")
    whole = rows_of(layer)

    # The same as in an image that is in RGB already.
    image, layer = photo(alpha=False)
    image.convert_grayscale()
    image.convert_rgb()
    done(image, [layer], COLORIZE)
    assert rows_of(layer) == whole

    # A selection, feathered or not, is heeded once.
    image, layer = grey()
    x, y, width, height = 40, 30, 60, 50
    image.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, width, height)
    done(image, [layer], COLORIZE, output="new-layer")
    assert image.get_base_type() == Gimp.ImageBaseType.RGB
    new, old = image.get_layers()
    assert spread(rows_of(old)) == 0
    for row, pixels in enumerate(rows_of(new)):
        for column, pixel in enumerate(pixels):
            inside = x <= column < x + width and y <= row < y + height
            if inside:
                assert pixel[:3] == whole[row][column][:3], (column, row)
            else:
                assert max(pixel[:3]) == min(pixel[:3]), (column, row)


def case_what_cannot_be_colorized_stays_as_it_is():
    image, layer = photo(alpha=False)
    before = rows_of(layer)
    error = call(image, [layer], COLORIZE)
    assert "has colors already" in error, error
    assert rows_of(layer) == before
    done(image, [layer], COLORIZE, any_colors=True)
    assert rows_of(layer) != before and origin(layer)["any_colors"] is True
    image.delete()
    image, layer = photo(alpha=False)
    image.convert_grayscale()
    before = rows_of(layer)
    for arguments, words in (
        ({"strength": 2.0}, "strength"),
        ({"tone": "sepia"}, "tone"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"output": "lut"}, "output"),
    ):
        error = call(image, [layer], COLORIZE, **arguments)
        assert words in error, error
        assert image.get_base_type() == Gimp.ImageBaseType.GRAY
    assert rows_of(layer) == before


def grayscale():
    image, layer = photo(alpha=False)
    image.convert_grayscale()
    image.clean_all()
    return image, layer


def stays_grayscale(words, image, layer, **arguments):
    refused(words, image, [layer], COLORIZE, **arguments)
    assert image.get_base_type() == Gimp.ImageBaseType.GRAY and not image.is_dirty()


def case_a_grayscale_image_whose_layers_are_not_meant_stays_grayscale():
    image, layer = grayscale()
    _other, stranger = grayscale()
    stays_grayscale("is a layer of another image", image, stranger)
    channel = Gimp.Channel.new(image, "c", 20, 20, 50.0, Gimp.context_get_foreground())
    image.insert_channel(channel, None, 0)
    layer.scale(40, 40, False)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 60, 50, 5, 5)
    image.clean_all()
    stays_grayscale("is a channel", image, channel)
    stays_grayscale("does not touch the layer", image, layer)


def case_a_grayscale_image_that_gets_no_colors_stays_grayscale():
    image, layer = photo(alpha=False)
    done(image, [layer])  # which leaves a parasite
    image.convert_grayscale()
    image.clean_all()
    for output in ("replace", "new-layer"):
        done(image, [layer], COLORIZE, strength=0.0, output=output)
        assert image.get_base_type() == Gimp.ImageBaseType.GRAY and not image.is_dirty()


def case_colors_above_what_cannot_be_replaced():
    def is_colored(layer):
        return any(max(p[:3]) - min(p[:3]) > 3 for row in rows_of(layer) for p in row)

    def check(words, image, given, pixels):
        image.clean_all()
        stays_grayscale(words, image, given)
        done(image, [given], COLORIZE, output="new-layer")
        new, old = image.get_layers()
        assert old == given and is_colored(new) and not is_colored(pixels)

    image, layer = grayscale()
    layer.set_lock_content(True)
    check("are locked", image, layer, layer)

    for mode in (Gimp.LayerMode.NORMAL, Gimp.LayerMode.PASS_THROUGH):
        image, layer = grayscale()
        group = Gimp.GroupLayer.new(image)
        image.insert_layer(group, None, 0)
        image.reorder_item(layer, group, 0)
        group.set_mode(mode)
        check("is a layer group", image, group, layer)


def case_colors_are_the_same_whether_the_image_was_grayscale():
    """Of a layer that is larger with its filter, and of two layers at once."""
    pictures = []
    for convert in (False, True):
        image, layer = grayscale()
        image.resize(140, 120, 20, 20)
        layer.append_filter(Gimp.DrawableFilter.new(layer, "gegl:dropshadow", ""))
        above = layer.copy()
        image.insert_layer(above, None, 0)
        above.set_mode(Gimp.LayerMode.MULTIPLY)
        if convert:
            image.convert_rgb()
        done(image, [layer, above], COLORIZE)
        pictures.append([rows_of(each) for each in image.get_layers()])
    assert pictures[0] == pictures[1]


def case_groups_text_and_locked_layers():
    image, layer = photo()
    group = Gimp.GroupLayer.new(image)
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    refused("is a layer group", image, [group])
    done(image, [group], output="new-layer")
    assert len(image.get_layers()) == 2 and origin(image.get_layers()[0])
    image.remove_layer(image.get_layers()[0])
    group.set_lock_content(True)
    refused("locked", image, [layer])
    group.set_lock_content(False)
    layer.set_lock_content(True)
    refused("locked", image, [layer])
    done(image, [layer], output="new-layer")
    assert len(group.get_children()) == 2 and not group.get_children()[0].get_lock_content()
    text = Gimp.TextLayer.new(image, "Colors", Gimp.context_get_font(), 20.0, Gimp.Unit.pixel())
    image.insert_layer(text, None, 0)
    refused("draws the pixels", image, [text])
    # Text of one color is left alone when a look is learned.
    done(image, [text], APPLY, lut_file="/io/inverse.cube", output="new-layer")
    new = image.get_layers()[0]
    assert not new.is_text_layer() and text.is_text_layer()
    assert [p[3] for row in rows_of(new) for p in row] == [
        p[3] for row in rows_of(text) for p in row
    ]
    image.delete()


def case_link_and_vector_layers():
    if not hasattr(Gimp, "LinkLayer"):
        return
    image, _layer = photo()
    link = Gimp.LinkLayer.new(image, Gio.File.new_for_path("/io/photo.png"))
    image.insert_layer(link, None, 0)
    refused("draws the pixels", image, [link])
    done(image, [link], output="new-layer")
    assert origin(image.get_layers()[0])
    link.rasterize()
    done(image, [link])
    assert origin(link)
    image.delete()


def case_what_is_no_layer_of_colors():
    image, layer = photo()
    refused("No layer is selected", image, [])
    channel = Gimp.Channel.new(image, "C", 10, 10, 50.0, Gegl.Color.new("red"))
    image.insert_channel(channel, None, 0)
    refused("channel", image, [channel])
    refused("channel", image, [channel], APPLY, source="last")
    image.convert_grayscale()
    refused("grayscale or indexed", image, [layer])
    image.delete()
    image, layer = photo(alpha=False)
    image.convert_indexed(
        Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 4, False, False, ""
    )
    refused("grayscale or indexed", image, [layer])
    refused("grayscale or indexed", image, [layer], APPLY, source="last")
    image.delete()


def case_selections_that_do_not_fit():
    image, layer = photo()
    refused("There is no selection", image, [layer], learn_from="selection")
    layer.set_offsets(300, 300)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)
    refused("does not touch", image, [layer])
    refused("does not touch", image, [layer], learn_from="selection")
    refused(
        "does not touch",
        image,
        [layer],
        learn_from="selection",
        output="lut",
        lut_file="/io/no.cube",
    )
    assert not os.path.exists("/io/no.cube")
    image.delete()


def case_a_floating_selection():
    image, layer = photo()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 20, 20)
    floating = Gimp.Selection.float(image, [layer], 0, 0)
    refused("floating", image, [floating], output="new-layer")
    done(image, [floating])
    image.delete()


def case_models_and_files_that_do_not_exist():
    image, layer = photo()
    os.makedirs("/io/folder.cube", exist_ok=True)
    refused("no such model", image, [layer], model="nobody's")
    refused("Choose the LUT file", image, [layer], output="lut")
    refused("does not exist", image, [layer], output="lut", lut_file="/nowhere/look.cube")
    refused("must end in .cube", image, [layer], lut_file="/io/look.txt")
    refused("GIMP refuses the arguments", image, [layer], lut_file="/io/folder.cube")
    done(image, [layer], output="lut", lut_file="/io/without a suffix")
    assert os.path.exists("/io/without a suffix.cube")
    other = layer.copy()
    image.insert_layer(other, None, 0)
    refused("one layer", image, [layer, other], lut_file="/io/look.cube")
    refused("cannot be written", image, [layer], lut_file="/proc/look.cube")
    refused("GIMP refuses the arguments", image, [layer], APPLY, lut_file="/io/none.cube")
    refused("Choose the LUT file", image, [layer], APPLY)
    with open("/io/bad.cube", "w") as file:
        file.write("LUT_3D_SIZE 2\n0 0 nothing\n")
    refused("bad.cube", image, [layer], APPLY, lut_file="/io/bad.cube")
    image.delete()


def case_values_that_there_are_not_are_refused():
    image, layer = photo()
    refused("iterations is 11: it must be 0 to 10", image, [layer], iterations=11)
    refused("iterations is -1", image, [layer], iterations=-1)
    refused("strength is 1.6: it must be 0.0 to 1.5", image, [layer], strength=1.6)
    refused("strength is -0.1", image, [layer], strength=-0.1)
    refused("strength is 1e+300", image, [layer], strength=1e300)
    refused("lut-size is 130: it must be 2 to 129", image, [layer], lut_size=130)
    for output in ("", "Replace", "new layer", "in a frame"):
        refused("one of replace, new-layer, lut", image, [layer], output=output)
    refused("one of layer, selection", image, [layer], learn_from="image")
    refused("one of replace, new-layer.", image, [layer], APPLY, source="last", output="lut")
    refused("strength is 2", image, [layer], APPLY, source="last", strength=2.0)
    refused("one of file, last", image, [layer], APPLY, source="first")
    image.delete()


def case_a_full_disk_leaves_the_image_and_the_old_file():
    """/io/small is a file system with no room left."""
    image, layer = photo()
    refused("cannot be written", image, [layer], lut_file="/io/small/look.cube")
    assert os.listdir("/io/small") == ["ballast"]
    image.delete()


def case_a_lut_file_is_what_is_applied():
    image, layer = photo(alpha=False)
    before = native(layer)
    done(image, [layer], output="lut", lut_file="/io/only.cube", lut_size=17)
    assert native(layer) == before and not origin(layer)
    done(image, [layer], lut_file="/io/both.cube")
    with open("/io/both.cube") as file:
        text = file.read()
    assert origin(layer)["lut_sha256"] in text and "model: embedded" in text
    with open("/io/only.cube") as file:
        assert "LUT_3D_SIZE 17\n" in file.read()
    image.delete()
    image, layer = photo(alpha=False)
    done(image, [layer], APPLY, lut_file="/io/both.cube")
    assert difference(colors(layer), balanced()) < 1.1 / 255
    assert origin(layer)["lut_file"] == "both.cube"
    image.delete()
    image, layer = photo(alpha=False)
    done(image, [layer], APPLY, source="last")
    assert difference(colors(layer), balanced()) < 1.1 / 255
    image.delete()
    image, layer = photo(alpha=False)
    before = native(layer)
    done(image, [layer], APPLY, lut_file="/io/both.cube", strength=0.0, output="new-layer")
    assert native(image.get_layers()[0]) == before
    done(image, [layer], lut_file="/io/hald.png")
    image.delete()
    image, layer = photo(alpha=False)
    done(image, [layer], APPLY, lut_file="/io/hald.png")
    assert difference(colors(layer), balanced()) < 2.1 / 255
    image.delete()


def case_a_curve_of_another_program_is_applied_as_it_is():
    steps = [int(i / 512) / 7.0 for i in range(4096)]
    with open("/io/posters.spi1d", "w") as file:
        rows = "".join(f"{step:.6f}\n" for step in steps)
        file.write(f"Version 1\nFrom 0 1\nLength 4096\nComponents 1\n{{\n{rows}}}\n")
    image, layer = photo(alpha=False)
    before = [round(value * 255) for value in colors(layer)]
    done(image, [layer], APPLY, lut_file="/io/posters.spi1d")
    expected = []
    for code in before:
        below = min(int(code / 255 * 4095), 4094)
        share = code / 255 * 4095 - below
        expected.append(steps[below] + share * (steps[below + 1] - steps[below]))
    assert difference(colors(layer), expected) < 0.6 / 255
    assert origin(layer)["lut_file"] == "posters.spi1d"
    image.delete()


def case_the_origin_tells_the_options():
    image, layer = photo()
    done(image, [layer], iterations=3, strength=0.5)
    told = origin(layer)
    assert (told["iterations"], told["strength"], told["model"]) == (3, 0.5, "embedded")
    assert told["version"] and told["model_version"] and len(told["lut_sha256"]) == 64
    assert layer.get_parasite("vae-balance").is_persistent()
    image.delete()


def case_a_dialog_without_a_screen_is_refused():
    image, layer = photo()
    for name in (BALANCE, APPLY):
        procedure = Gimp.get_pdb().lookup_procedure(name)
        config = procedure.create_config()
        config.set_property("run-mode", Gimp.RunMode.INTERACTIVE)
        config.set_property("image", image)
        config.set_core_object_array("drawables", [layer])
        assert procedure.run(config).index(0) == Gimp.PDBStatusType.EXECUTION_ERROR
        error = Gimp.get_pdb().get_last_error()
        assert "no screen for a dialog" in error, error
    image.delete()


def case_last_values_are_used_again():
    """With the run mode "last values", GIMP gives the plug-in what an interactive run left."""
    image, layer = photo()
    procedure = Gimp.get_pdb().lookup_procedure(BALANCE)
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.WITH_LAST_VALS)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    assert procedure.run(config).index(0) == Gimp.PDBStatusType.SUCCESS
    assert origin(layer)["iterations"] == "auto"
    image.delete()


def case_a_selection_that_is_changed_during_the_work():
    image, layer = photo()
    replace = Gimp.ChannelOps.REPLACE
    for output in ("replace", "new-layer"):
        image.select_rectangle(replace, 10, 10, 30, 30)
        before = native(layer)
        change = (image.select_rectangle, replace, 0, 0, 20, 20)
        error, _told = interrupted(image, layer, *change, output=output)
        assert "was changed" in error, error
        assert native(layer) == before and len(image.get_layers()) == 1
    image.select_rectangle(replace, 10, 10, 30, 30)
    before = rows_of(layer)
    error, _told = interrupted(image, layer, image.select_rectangle, replace, 15, 15, 5, 5)
    assert error is None, error
    for y, (old, new) in enumerate(zip(before, rows_of(layer))):
        changed = [x for x, (one, other) in enumerate(zip(old, new)) if one != other]
        assert set(changed) <= (set(range(15, 20)) if 15 <= y < 20 else set()), (y, changed)
    assert rows_of(layer) != before
    image.delete()


def case_a_layer_that_is_changed_during_the_work():
    for when in (FIRST_ROUND, APPLYING):
        image, layer = photo()
        change = (image.remove_layer, layer)
        error, _told = interrupted(image, layer, *change, when=when, iterations=1)
        assert "was changed" in error, error
        image.delete()
    image, layer = photo()
    before = native(layer)
    error, _told = interrupted(image, layer, layer.set_lock_content, True)
    assert "locked" in error and native(layer) == before and not origin(layer), error
    image.delete()


def case_pixels_of_another_size_or_precision_are_not_written():
    """GIMP itself ends a plug-in that is just reading or writing such a layer."""
    from layers import Replaced
    from vae_balance_gimp.texts import UserError

    for change in ("resize", "convert"):
        image, layer = photo()
        result = Replaced(layer, layer, (0, 0, layer.get_width(), layer.get_height()))
        result.check_unchanged()
        if change == "resize":
            layer.resize(20, 20, 0, 0)
        else:
            image.convert_precision(Gimp.Precision.U16_LINEAR)
        try:
            result.check_unchanged()
        except UserError as error:
            assert "was changed" in error.message
        else:
            raise AssertionError(change)
        image.delete()


FIRST_ROUND, APPLYING = "Learning, round 1 of 1...", "Applying the look..."


def case_every_stage_is_told():
    image, layer = photo()
    error, told = interrupted(image, layer, iterations=2)
    assert error is None, error
    rounds = ["Learning, round 1 of 2...", "Learning, round 2 of 2..."]
    seldom = ("Loading the model...", "Waiting for VAE Balance...")
    stages = [text for text in told if text not in seldom]
    assert stages == ["Looking at the layer...", *rounds, APPLYING], told
    image.delete()


def interrupted(
    image, layer, change=None, *arguments, when=APPLYING, last_look=None, notes=False, **settings
):
    """Balance in this process, without the procedure; GIMP stays usable meanwhile.

    Args:
        change: called with the arguments at a stage.
        when: the text of the stage.
        last_look: where the look is kept, by default as GIMP's plug-in does.
        notes: whether the notes are what is wanted.

    Returns:
        The message of the error, or None, and the texts of the progress; or the notes.
    """
    from layers import Image, Layer
    from vae_balance_gimp.balancing import balance, last_look_path
    from vae_balance_gimp.settings import Settings
    from vae_balance_gimp.texts import UserError

    told = []
    last_look = last_look or last_look_path(Gimp.directory())

    def progress(text, fraction):
        assert 0 <= fraction <= 1, fraction
        if told and told[-1] == text:
            return
        told.append(text)
        if change and text == when:
            change(*arguments)

    try:
        found = balance(Image(image), [Layer(layer)], Settings(**settings), last_look, progress)
    except UserError as error:
        return error.message, told
    return found if notes else (None, told)


def case_zz_a_daemon_that_dies_leaves_the_image_and_is_started_again():
    from vae_balance_protocol.client import Client

    def pid():
        with Client.connect("killer", start=False) as client:
            return client.daemon["pid"]

    def kill_during_learn():
        with Client.connect("killer", start=False) as client:
            while not any(job["verb"] == "learn" for job in client.status()["running"]):
                time.sleep(0.005)
            os.kill(client.daemon["pid"], 9)

    image, layer = photo()
    killer = threading.Thread(target=kill_during_learn, daemon=True)
    killer.start()
    refused("stopped answering", image, [layer], iterations=10)
    killer.join()

    os.rename(COMMAND, COMMAND + ".away")
    refused("could not be started", image, [layer])
    os.rename(COMMAND + ".away", COMMAND)

    image.scale(2000, 1500)  # several strips
    before = native(layer)
    killed = []

    def kill():
        killed.append(pid())
        os.kill(killed[0], 9)

    error, told = interrupted(image, layer, kill)
    assert told[0] == "Starting VAE Balance...", told
    assert killed and "stopped answering" in error, error
    assert native(layer) == before and not origin(layer)
    done(image, [layer])
    assert native(layer) != before and pid() != killed[0]
    image.delete()


COMMAND = "/io/config/vae-balance/client.json"


def run_all():
    results = {}
    for name in sorted(name for name in globals() if name.startswith("case_")):
        began = time.monotonic()
        try:
            globals()[name]()
            results[name] = ""
        except BaseException:
            results[name] = traceback.format_exc()
        print(f"{time.monotonic() - began:5.1f} s {name}", flush=True)
        with open("/io/results.json", "w") as file:
            json.dump(results, file)


run_all()
