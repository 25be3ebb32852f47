"""What the plug-ins of GIMP 3 and GIMP 2.10 share: nothing here knows GIMP; Python 2.7 and 3."""
