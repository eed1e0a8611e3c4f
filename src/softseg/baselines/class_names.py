"""What the classes of well-known data sets are called, where weights do not say it themselves."""

from __future__ import annotations

# ADE20K's scene parsing benchmark (Zhou et al. 2017), 150 classes by falling share of pixels.
_ADE20K = (
    "wall|building|sky|floor|tree|ceiling|road|bed|windowpane|grass|cabinet|sidewalk|person|earth|door|table|mountain|"
    "plant|curtain|chair|car|water|painting|sofa|shelf|house|sea|mirror|rug|field|armchair|seat|fence|desk|rock|"
    "wardrobe|lamp|bathtub|railing|cushion|base|box|column|signboard|chest of drawers|counter|sand|sink|skyscraper|"
    "fireplace|refrigerator|grandstand|path|stairs|runway|case|pool table|pillow|screen door|stairway|river|bridge|"
    "bookcase|blind|coffee table|toilet|flower|book|hill|bench|countertop|stove|palm|kitchen island|computer|"
    "swivel chair|boat|bar|arcade machine|hovel|bus|towel|light|truck|tower|chandelier|awning|streetlight|booth|"
    "television receiver|airplane|dirt track|apparel|pole|land|bannister|escalator|ottoman|bottle|buffet|poster|stage|"
    "van|ship|fountain|conveyer belt|canopy|washer|plaything|swimming pool|stool|barrel|basket|waterfall|tent|bag|"
    "minibike|cradle|oven|ball|food|step|tank|trade name|microwave|pot|animal|bicycle|lake|dishwasher|screen|blanket|"
    "sculpture|hood|sconce|vase|traffic light|tray|ashcan|fan|pier|crt screen|plate|monitor|bulletin board|shower|"
    "radiator|glass|clock|flag"
)
# Everingham et al. 2010; 0 is what belongs to none of the classes.
_VOC = (
    "background|aeroplane|bicycle|bird|boat|bottle|bus|car|cat|chair|cow|dining table|dog|horse|motorbike|person|"
    "potted plant|sheep|sofa|train|tv monitor"
)
BACKGROUND = "background"


def semantic_classes(count: int) -> tuple[str, ...]:
    """Names of the classes of a network that labels every pixel: ADE20K for 150, PASCAL VOC for 21, else numbers.

    Examples
    --------
    >>> semantic_classes(150)[2], semantic_classes(21)[0], semantic_classes(2)
    ('sky', 'background', ('class 0', 'class 1'))
    """
    known = (names.split("|") for names in (_ADE20K, _VOC))
    return tuple(next((names for names in known if len(names) == count), numbered(count)))


def numbered(count: int) -> list[str]:
    """Names for classes of which only the number is known."""
    return [f"class {number}" for number in range(count)]
