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


def case_both_entries_are_in_the_menu():
    for name, label in ((BALANCE, "VAE _Balance..."), (APPLY, "Apply _LUT (.cube)...")):
        procedure = Gimp.get_pdb().lookup_procedure(name)
        assert procedure.get_menu_paths() == ["<Image>/Filters/Color"]
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
    done(image, [text], output="new-layer")
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
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    refused("layer mask", image, [mask])
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
    refused("no such model", image, [layer], model="nobody's")
    refused("Choose the LUT file", image, [layer], output="lut")
    refused("does not exist", image, [layer], output="lut", lut_file="/nowhere/look.cube")
    refused("must end in .cube", image, [layer], lut_file="/io/look.txt")
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


def case_the_origin_tells_the_options():
    image, layer = photo()
    done(image, [layer], iterations=3, strength=0.5)
    told = origin(layer)
    assert (told["iterations"], told["strength"], told["model"]) == (3, 0.5, "embedded")
    assert told["version"] and told["model_version"] and len(told["lut_sha256"]) == 64
    assert layer.get_parasite("vae-balance").is_persistent()
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
    assert origin(layer)["iterations"] == 1
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
        error, _told = interrupted(image, layer, image.remove_layer, layer, when=when)
        assert "was changed" in error, error
        image.delete()
    image, layer = photo()
    before = native(layer)
    error, _told = interrupted(image, layer, layer.set_lock_content, True)
    assert "locked" in error and native(layer) == before and not origin(layer), error
    image.delete()


def case_pixels_of_another_size_or_precision_are_not_written():
    """GIMP itself ends a plug-in that is just reading or writing such a layer."""
    from layers import Result
    from vae_balance_gimp.texts import UserError

    for change in ("resize", "convert"):
        image, layer = photo()
        result = Result(layer, (0, 0, layer.get_width(), layer.get_height()), False)
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
    seldom = ("Loading the model...", "Waiting for the balance daemon...")
    stages = [text for text in told if text not in seldom]
    assert stages == ["Looking at the layer...", *rounds, APPLYING], told
    image.delete()


def interrupted(image, layer, change=None, *arguments, when=APPLYING, **settings):
    """Balance in this process, without the procedure; GIMP stays usable meanwhile.

    Args:
        change: called with the arguments at a stage.
        when: the text of the stage.

    Returns:
        The message of the error, or None, and the texts of the progress.
    """
    from layers import Image, Layer
    from vae_balance_gimp.balancing import balance, last_look_path
    from vae_balance_gimp.settings import Settings
    from vae_balance_gimp.texts import UserError

    told = []
    last_look = last_look_path(Gimp.directory())

    def progress(text, fraction):
        assert 0 <= fraction <= 1, fraction
        if told and told[-1] == text:
            return
        told.append(text)
        if change and text == when:
            change(*arguments)

    try:
        balance(Image(image), [Layer(layer)], Settings(**settings), last_look, progress)
    except UserError as error:
        return error.message, told
    return None, told


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
    assert told[0] == "Starting the balance daemon...", told
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
