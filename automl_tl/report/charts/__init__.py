"""Charts, one file each: a result goes in, an inline SVG in the page's own colours comes out."""
