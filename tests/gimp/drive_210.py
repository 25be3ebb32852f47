# -*- coding: utf-8 -*-
"""Runs the plug-in of GIMP 2.10 without GIMP, in Python 2.7: `standin_210` stands in for gimpfu.

python2.7 drive_210.py FOLDER NAME    runs check_NAME with the plug-in in FOLDER
"""

from __future__ import absolute_import, division, print_function

import json
import os
import struct
import sys
from array import array

import gimp
import gimpenums
import gimpfu

FOLDER = sys.argv[1]
BALANCE, APPLY = "plug-in-vae-balance", "plug-in-vae-balance-apply-lut"
WIDTH, HEIGHT = 40, 300  # with the strips of the plug-in, several
PLUG_IN = {"__name__": "__main__"}
FORMS = {1: "B", 2: "H", 3: "I", 6: "f", 7: "d"}  # by the hundreds of the precision


def run(name, image, layer, *values, **options):
    """Do as GIMP does; return whether the procedure succeeded, and what it said."""
    del gimp.EVENTS[:]
    mode = options.get("mode", gimpenums.RUN_NONINTERACTIVE)
    try:
        gimp.CALLBACKS[1](name, (mode, image, layer) + values)
        done = True
    except gimpfu.CancelError:
        done = False
    sys.excepthook = sys.__excepthook__
    return done, [event[1] for event in gimp.EVENTS if event[0] == "message"]


def balance(image, layer, **changed):
    values = dict(
        iterations=1.0, strength=1.0, model="embedded", learn_from="layer", output="replace",
        lut_file="", lut_size=33.0,
    )  # fmt: skip
    values.update(changed)
    order = ("iterations", "strength", "model", "learn_from", "output", "lut_file", "lut_size")
    return run(BALANCE, image, layer, *[values[name] for name in order])


def apply_lut(image, layer, source="file", lut_file="", strength=1.0, output="replace"):
    return run(APPLY, image, layer, source, lut_file, strength, output)


def picture(precision=gimpenums.PRECISION_U8_GAMMA, has_alpha=True, width=WIDTH, height=HEIGHT):
    """Return an image with a layer whose values all differ a little."""
    image = gimp.Image(width, height, precision)
    count = width * height * (4 if has_alpha else 3)
    shares = [0.1 + 0.8 * (i * 37 % 1009) / 1009 for i in range(count)]
    kind = FORMS.get(precision // 100)
    if kind is None:  # halves of 0.5 to 1, as bytes
        data = b"".join(struct.pack("<H", 0x3800 + i % 1024) for i in range(count))
    elif kind in "fd":
        data = array(kind, array("f", shares)).tostring()
    else:
        most = 2 ** (8 * array(kind).itemsize) - 1
        data = array(kind, [int(share * most) for share in shares]).tostring()
    layer = gimp.Drawable(image, data, has_alpha)
    image.layers.append(layer)
    return image, layer


def names_of_events():
    return [event[0] for event in gimp.EVENTS if event[0] != "progress"]


def planes(layer):
    """Return the bytes of colors and of alpha."""
    item = layer.image.item_bytes
    pixels = [layer.data[i : i + layer.bpp] for i in range(0, len(layer.data), layer.bpp)]
    colors = b"".join(bytes(pixel[: 3 * item]) for pixel in pixels)
    return colors, b"".join(bytes(pixel[3 * item :]) for pixel in pixels)


def inverted(colors):
    return bytes(bytearray(255 - value for value in bytearray(colors)))


def check_registration():
    for name, label, count in (
        (BALANCE, "VAE _Balance...", 9),
        (APPLY, "VAE _LUT...", 6),
    ):
        found = gimpfu.REGISTERED[name]
        assert found["menu"] == "<Image>/Filters/Menus/Color/Menus"
        assert (found["label"], found["imagetypes"]) == (label, "RGB*, GRAY")
        assert os.path.isdir(found["domain"][1])
        params = found["params"]
        assert len(params) == count
        assert [param[1] for param in params[:2]] == ["image", "drawable"]
        # "o" and "c" are those of the buttons.
        letters = ["o", "c"] + [param[2].partition("_")[2][0].lower() for param in params[2:]]
        assert len(set(letters)) == len(letters), letters
        for param in params:
            if param[0] == gimpfu.PF_RADIO:
                assert param[3] in [value for _text, value in param[4]]
                assert all(type(part) is str for choice in param[4] for part in choice)
            if param[0] in (gimpfu.PF_SPINNER, gimpfu.PF_SLIDER):
                low, high, _step = param[4]
                assert low <= param[3] <= high


def check_menus():
    gimp.CALLBACKS[0]()
    paths = {event[1]: event[2] for event in gimp.EVENTS if event[0] == "menu"}
    entries = (BALANCE, APPLY, "plug-in-vae-balance-colorize")
    assert paths == dict.fromkeys(entries, "<Image>/Colors"), paths


def check_a_layer():
    image, layer = picture()
    colors, alpha = planes(layer)
    done, said = balance(image, layer, iterations=2.0)
    assert done and not said, said
    assert planes(layer) == (inverted(colors), alpha)
    assert names_of_events() == [
        "undo group start", "merge", "update", "parasite", "undo group end", "displays flush",
    ]  # fmt: skip
    assert ("merge", True) in gimp.EVENTS
    told = [event[2] for event in gimp.EVENTS if event[0] == "progress" and event[2] is not None]
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == 1.0, told
    assert len(set(told)) > 4, told
    texts = [event[1] for event in gimp.EVENTS if event[0] == "progress" and event[1]]
    assert "Learning, round 1 of 2..." in texts and texts[-1] == "Applying the look..."
    parasite = layer.parasites["vae-balance"]
    origin = json.loads(parasite.data)
    assert parasite.flags == 3 and origin["iterations"] == 2 and origin["learned_from"] == "layer"


def check_precisions():
    for name in sorted(name for name in dir(gimpenums) if name.startswith("PRECISION_")):
        precision = getattr(gimpenums, name)
        for has_alpha in (False, True):
            image, layer = picture(precision, has_alpha, 7, 5)
            kind = FORMS.get(precision // 100)
            colors, alpha = planes(layer)
            done, said = balance(image, layer)
            assert done, said
            new, new_alpha = planes(layer)
            assert new_alpha == alpha, name
            assert not layer.lock_alpha
            if kind is None:
                assert new != colors
                continue
            most = 1.0 if kind in "fd" else 2.0 ** (8 * array(kind).itemsize) - 1
            for old, value in zip(array(kind, colors), array(kind, new)):
                assert abs(most - old - value) <= most * 1e-6, (name, old, value)


def check_profiles():
    for precision, own in (
        (gimpenums.PRECISION_U8_GAMMA, b""),
        (gimpenums.PRECISION_U8_GAMMA, b"own"),
        (gimpenums.PRECISION_FLOAT_LINEAR, b""),
        (gimpenums.PRECISION_FLOAT_LINEAR, b"own"),
    ):
        image, layer = picture(precision, True, 7, 5)
        image.profile = own
        done, said = balance(image, layer)
        assert done, said


def chosen():
    return {(x, y) for x in range(10, 30) for y in range(60, 90) if (x + y) % 3}


def check_selections():
    for precision in (150, 250, 350, 550, 650, 750):
        for has_alpha in (False, True):
            image, layer = picture(precision, has_alpha)
            image.chosen = chosen()
            image.barely = {(x + 1, y) for x, y in chosen() if x < 29} - chosen()
            layer.offsets = (-5, 20)
            before = bytes(layer.data)
            done, said = balance(image, layer, learn_from="selection")
            assert done, said
            places = set(layer.selected())
            assert len(places) == len(chosen())
            for number in range(layer.width * layer.height):
                place = (number % layer.width, number // layer.width)
                pixel = slice(number * layer.bpp, (number + 1) * layer.bpp)
                assert (before[pixel] != bytes(layer.data[pixel])) == (place in places), place
            assert json.loads(layer.parasites["vae-balance"].data)["learned_from"] == "selection"


def check_new_layers():
    for kind in ("layer", "text", "group"):
        image, layer = picture()
        layer.kind, layer.locked, layer.offsets = kind, True, (3, 4)
        before = bytes(layer.data)
        colors, alpha = planes(layer)
        done, said = balance(image, layer, output="new-layer")
        assert done, said
        new = image.layers[0]
        assert image.layers == [new, layer] and bytes(layer.data) == before
        assert planes(new) == (inverted(colors), alpha)
        assert new.kind == "layer" and not new.locked and new.offsets == (3, 4)
        assert new.name == "Ebene für alles, balanced"
        assert "vae-balance" in new.parasites and not layer.parasites


def check_a_mask_that_is_selected_means_its_layer():
    image, layer = picture()
    colors, alpha = planes(layer)
    mask = gimp.Drawable(image, layer.data, kind="mask")
    mask.below = layer
    assert balance(image, mask) == (True, [])
    assert planes(layer) == (inverted(colors), alpha)


def check_what_is_hidden_by_a_new_layer():
    for hidden, setting in (
        (False, {}),
        (True, {"opacity": 99.0}),
        (True, {"mode": 30}),
        (True, {"mask": gimp.Drawable(picture()[0], picture()[1].data, kind="mask")}),
    ):
        for has_alpha in (False, True):
            image, layer = picture(has_alpha=has_alpha)
            for name in setting:
                setattr(layer, name, setting[name])
            assert balance(image, layer, output="new-layer") == (True, [])
            assert layer.visible == (not hidden and not has_alpha), (setting, has_alpha)
    image, layer = picture()
    layer.data[3::4] = b"\xff" * (len(layer.data) // 4)
    assert balance(image, layer, output="new-layer") == (True, [])
    assert layer.visible


def check_a_transparent_layer_stays():
    for precision in (150, 250, 550, 650):
        image, layer = picture(precision)
        item = image.item_bytes
        for byte in range(3 * item, 4 * item):
            layer.data[byte :: 4 * item] = b"\0" * (len(layer.data) // (4 * item))
        before = bytes(layer.data)
        refused("is transparent", balance(image, layer), layer, before)


def check_a_look_that_changes_no_pixel():
    """The daemon turns colors over, so that grey of one half stays."""
    image, layer = picture(gimpenums.PRECISION_FLOAT_GAMMA, False)
    layer.data[:] = array("f", [0.5]).tostring() * (len(layer.data) // 4)
    done, said = balance(image, layer)
    assert done and "changes no pixel" in said[0], said
    assert names_of_events() == ["free shadow", "displays flush", "message"], gimp.EVENTS


def check_names_that_are_not_utf_8():
    path = os.path.join(gimp.directory, b"gr\xfcn.cube")
    image, layer = picture()
    assert balance(image, layer, lut_file=path) == (True, [])
    colors, _alpha = planes(layer)
    assert apply_lut(image, layer, lut_file=path) == (True, [])
    assert planes(layer)[0] == inverted(colors)
    before = bytes(layer.data)
    refused("gr\xef\xbf\xbdn.txt", apply_lut(image, layer, lut_file=b"gr\xfcn.txt"), layer, before)


def check_a_last_look_that_cannot_be_kept():
    with open(os.path.join(gimp.directory, "vae-balance"), "w"):
        pass  # a file, where the folder would be
    image, layer = picture()
    colors, alpha = planes(layer)
    done, said = balance(image, layer)
    assert done and "was not kept" in said[0], said
    assert planes(layer) == (inverted(colors), alpha)


def check_luts():
    folder = os.path.join(gimp.directory, "LUTs für Fotos")
    os.mkdir(folder)
    path = os.path.join(folder, "grün.cube")
    image, layer = picture()
    before = bytes(layer.data)
    assert balance(image, layer, output="lut", lut_file=path) == (True, [])
    assert bytes(layer.data) == before and names_of_events() == ["displays flush"]
    assert os.listdir(folder) == ["grün.cube"]
    last = os.path.join(gimp.directory, "vae-balance", "last-look.cube")
    with open(path) as one, open(last) as other:
        assert one.read() == other.read() == "LUT_3D_SIZE 2\n"
    colors, alpha = planes(layer)
    assert apply_lut(image, layer, lut_file=path) == (True, [])
    assert planes(layer) == (inverted(colors), alpha)
    told = json.loads(layer.parasites["vae-balance"].data)["lut_file"]
    assert told.encode("utf-8") == "grün.cube"
    assert apply_lut(image, layer, source="last") == (True, [])
    assert planes(layer) == (colors, alpha)


def refused(words, outcome, layer, before):
    done, said = outcome
    assert not done and len(said) == 1 and words in said[0], (words, said)
    assert bytes(layer.data) == before
    assert not set(names_of_events()) - {"message", "free shadow", "delete"}, gimp.EVENTS


def check_errors():
    for words, setting, values in (
        ("“Ebene für alles” is a channel", {"kind": "channel"}, {}),
        ("is a layer group", {"kind": "group"}, {}),
        ("draws the pixels", {"kind": "text"}, {}),
        ("are locked", {"locked": True}, {}),
        ("above a floating selection", {"kind": "floating"}, {"output": "new-layer"}),
        ("There is no selection", {}, {"learn_from": "selection"}),
        ("Choose the LUT file", {}, {"output": "lut"}),
        ("/nirgendwo/für/a.cube” does not exist", {}, {"lut_file": "/nirgendwo/für/a.cube"}),
        ("must end in .cube", {}, {"lut_file": "/tmp/ä.txt"}),
        ("cannot be written", {}, {"lut_file": "/proc/ä.cube"}),
        ("iterations is 11: it must be 0 to 10", {}, {"iterations": 11}),
        ("strength is nan: it must be 0.0 to 1.5", {}, {"strength": float("nan")}),
        ("output is “weiß”: it must be one of replace", {}, {"output": "weiß"}),
    ):
        image, layer = picture()
        for name in setting:
            setattr(layer, name, setting[name])
        before = bytes(layer.data)
        refused(words, balance(image, layer, **values), layer, before)
    image, layer = picture()
    before = bytes(layer.data)
    refused("Choose the LUT file to apply", apply_lut(image, layer), layer, before)
    refused("No look has been learned", apply_lut(image, layer, "last"), layer, before)
    refused("no LUT file “/ä.cube”", apply_lut(image, layer, lut_file="/ä.cube"), layer, before)
    refused("is a layer of another image", balance(picture()[0], layer), layer, before)
    layer.kind, layer.below = "floating", gimp.Drawable(image, layer.data, kind="mask")
    refused("is a part of a mask", balance(image, layer), layer, before)
    layer.kind = "layer"
    image.chosen = set()
    refused("does not touch the layer", balance(image, layer), layer, before)
    image.chosen, image.base_type = None, gimpenums.GRAY
    refused("is grayscale or indexed", balance(image, layer), layer, before)
    parent = gimp.Drawable(image, layer.data, kind="group")
    parent.locked, parent.name = True, "Gruppe ä"
    layer.parent, image.base_type = parent, gimpenums.RGB
    image.layers[:] = [parent]
    refused("“Gruppe ä” are locked", balance(image, layer), layer, before)


def check_a_full_disk():
    """GIMP has set the user's language, in which Python 2 gives the system's errors as bytes."""

    def fail(_number):
        raise OSError(28, "Auf dem Gerät ist kein Platz")

    path = os.path.join(gimp.directory, "grün.cube")
    with open(path, "w") as file:
        file.write("old")
    image, layer = picture()
    before = bytes(layer.data)
    os.fsync = fail
    outcome = balance(image, layer, lut_file=path)
    refused("grün.cube” cannot be written: Auf dem Gerät ist kein Platz", outcome, layer, before)
    with open(path) as file:
        assert file.read() == "old"


def check_death(output="replace"):
    image, layer = picture()
    before = bytes(layer.data)
    outcome = balance(image, layer, output=output)
    refused("VAE Balance stopped answering", outcome, layer, before)
    assert image.layers == [layer]
    assert ("free shadow",) in gimp.EVENTS
    assert (("delete",) in gimp.EVENTS) == (output == "new-layer")
    outcome = balance(image, layer, output=output)
    refused("VAE Balance could not be started", outcome, layer, before)


def check_death_before_there_is_a_new_layer():
    check_death("new-layer")


def check_changes_meanwhile():
    """The selection grows, or the layer goes, while the look is applied."""
    progress_update = gimp.progress_update
    for change in ("selection", "layer", "image"):
        image, layer = picture()
        image.chosen = {(1, 1)}
        before = bytes(layer.data)

        def update(fraction, image=image, layer=layer, change=change):
            if fraction > 0.9 and change == "selection":
                image.chosen = {(1, 1), (2, 2)}
            elif fraction > 0.9 and change == "layer":
                layer.kind = "deleted"
            elif fraction > 0.9:
                image.layers.remove(layer)
            progress_update(fraction)

        gimp.progress_update = update
        refused("was changed while", balance(image, layer), layer, before)


def check_defects():
    """What nobody has thought of is told as well, and the dialog ends."""
    image, layer = picture()
    gimp.pdb.gimp_drawable_mask_intersect = lambda drawable: {}["ä"]
    before = bytes(layer.data)
    refused("VAE Balance has a defect: KeyError", balance(image, layer), layer, before)


def check_dialog():
    image, layer = picture()
    colors, alpha = planes(layer)
    gimpfu.DIALOG[:] = [3.0, 0.5, "embedded", "layer", "replace", "", 17.0]
    assert run(BALANCE, image, layer, mode=gimpenums.RUN_INTERACTIVE) == (True, [])
    assert planes(layer) == (inverted(colors), alpha)
    origin = json.loads(layer.parasites["vae-balance"].data)
    assert (origin["iterations"], origin["strength"]) == (3, 0.5)
    gimpfu.DIALOG[3] = "selection"
    done, said = run(BALANCE, image, layer, mode=gimpenums.RUN_INTERACTIVE)
    assert done and "There is no selection" in said[0]


def check_last_values():
    image, layer = picture()
    assert run(BALANCE, image, layer, mode=gimpenums.RUN_WITH_LAST_VALS) == (True, [])
    assert json.loads(layer.parasites["vae-balance"].data)["iterations"] == "auto"


def check_german():
    image, layer = picture()
    _done, said = balance(image, layer, learn_from="selection")
    assert "Auswahl" in said[0], said
    sources = gimpfu.REGISTERED[BALANCE]["params"][5]
    assert "Auswahl" in [text for text, _value in sources[4]], sources


if __name__ == "__main__":
    sys.path.insert(0, FOLDER)
    with open(os.path.join(FOLDER, "vae-balance.py")) as source:
        # As GIMP does; runpy would drop the plug-in's globals when it has ended.
        exec(compile(source.read(), "vae-balance.py", "exec"), PLUG_IN)
    globals()["check_" + sys.argv[2]]()
    print("ok")
