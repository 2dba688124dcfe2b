"""The style that QGIS loads with a layer of the same name: outlines, coloured by class as in the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from rsdet.tasks.detect.visual import class_colour


def qml(names: Mapping[int, str], column: str = "class", empty: str = "") -> str:
    """A QML of QGIS 3 for a layer of polygons that are coloured by one of its columns; no fill, no labels.

    Args:
        names: Class number -> name, as it stands in the column.
        column: The column.
        empty: What the legend calls those without an entry.
    """
    categories = "\n".join(
        f'      <category render="true" type="string" symbol="{k}" value={quoteattr(name)} '
        f"label={quoteattr(name or empty)}/>"
        for k, name in enumerate(names.values())
    )
    symbols = "\n".join(_SYMBOL.format(k, *class_colour(i)) for k, i in enumerate(names))
    return _QML.format(categories, symbols, quoteattr(column))


_SYMBOL = """      <symbol type="fill" name="{0}" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="style" value="no"/>
            <Option type="QString" name="outline_color" value="{1},{2},{3},255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="0.4"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="miter"/>
          </Option>
        </layer>
      </symbol>"""

_QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.28" styleCategories="Symbology" labelsEnabled="0">
  <renderer-v2 type="categorizedSymbol" attr={2} enableorderby="0" forceraster="0" symbollevels="0">
    <categories>
{0}
    </categories>
    <symbols>
{1}
    </symbols>
  </renderer-v2>
  <layerGeometryType>2</layerGeometryType>
</qgis>
"""
