"""Color for grey photos: three networks that see the lightness of a photo and give its a and b."""
