"""The appearance domains Headwater starts with: those of Mensink et al. 2022 (arXiv 2103.13318) and
what users bring.
"""

from headwater import Domain

web = Domain(
    name="web",
    summary="Anything found on the web: photographs, documents, drawings, products, faces.",
)

consumer = Domain(
    name="consumer",
    summary="Photographs people take of everyday scenes and things.",
    within=("web",),
)
indoor = Domain(name="indoor", summary="Rooms and what stands in them.", within=("consumer",))
driving = Domain(name="driving", summary="Streets seen from a vehicle.")
aerial = Domain(name="aerial", summary="The ground seen from a plane, a drone or a satellite.")
underwater = Domain(name="underwater", summary="Photographs taken under water.")
close_ups = Domain(name="close-ups", summary="One thing, seen from near, filling the image.")
synthetic = Domain(name="synthetic", summary="Rendered scenes.")

documents = Domain(name="documents", summary="Pages, forms and text in images.", within=("web",))
characters = Domain(
    name="characters",
    summary="Single letters, digits and signs, printed or written.",
    within=("documents",),
)
art = Domain(name="art", summary="Paintings and other works of art.", within=("web",))
drawings = Domain(name="drawings", summary="Cartoons, illustrations, line art.", within=("web",))
sketches = Domain(
    name="sketches", summary="Quick line drawings without colour.", within=("drawings",)
)
clothing = Domain(
    name="clothing", summary="Clothes and other products, most on plain ground.", within=("web",)
)
faces = Domain(name="faces", summary="Human faces, cropped.", within=("web",))

medical = Domain(name="medical", summary="X-rays, scans, endoscopy, skin.")
microscopy = Domain(name="microscopy", summary="Cells and tissue under a microscope.")
plants = Domain(name="plants", summary="Leaves, flowers and crops.")
textures = Domain(name="textures", summary="Surfaces and materials.")
