#!/usr/bin/env python3
"""A plug-in that only reads and writes a layer in strips: what GIMP itself needs."""

import sys

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp


class Strips(Gimp.PlugIn):
    """The plug-in."""

    def do_set_i18n(self, _name):
        return False

    def do_query_procedures(self):
        return ["plug-in-strips"]

    def do_create_procedure(self, name):
        return Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)

    def run(self, procedure, _mode, _image, drawables, _config, _data):
        layer = drawables[0]
        width, height = layer.get_width(), layer.get_height()
        form = "R'G'B'A u8" if layer.has_alpha() else "R'G'B' u8"
        source, target = layer.get_buffer(), layer.get_shadow_buffer()
        for row in range(0, height, 256):
            area = Gegl.Rectangle.new(0, row, width, min(256, height - row))
            target.set(area, form, source.get(area, 1.0, form, Gegl.AbyssPolicy.NONE))
        target.flush()
        layer.merge_shadow(True)
        layer.update(0, 0, width, height)
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


Gimp.main(Strips.__gtype__, sys.argv)
