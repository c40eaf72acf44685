"""Make an OpenVINO graph file small, without changing what it computes.

The file repeats what the reader works out again: shapes and names of inner values, how the model
was made. Equal constants, which point at the same bytes of the weights, are stored once.
"""

from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from diptych.inference.runtimes.hints import BF16, HINT

ENDS = ("Parameter", "Result")


def compact_ir(xml: bytes) -> bytes:
    """Write a graph in its smallest form.

    Args:
        xml: The ``.xml`` that OpenVINO has just written.

    Returns:
        The same graph; its inputs and outputs keep their names, and it goes with the same
        ``.bin``.
    """
    root = ET.fromstring(xml)  # noqa: S314  written by OpenVINO a moment ago
    made = root.find("rt_info")
    if made is not None:
        root.remove(made)
    _merge_constants(root)
    results = {layer.get("id", "") for layer in root.iter("layer") if layer.get("type") == "Result"}
    outputs = {e.get("from-layer", "") for e in root.iter("edge") if e.get("to-layer") in results}
    for layer in root.iter("layer"):
        _strip_layer(layer, outputs)
    for element in root.iter():
        element.text = element.tail = None
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def with_hint(xml: bytes) -> bytes:
    """Note in a graph that it is to multiply in bfloat16, where whoever opens it finds it.

    Args:
        xml: A compact graph.

    Returns:
        The same graph, with the note.
    """
    root = ET.fromstring(xml)  # noqa: S314  ours
    noted = root
    for name in ("rt_info", *HINT):
        noted = ET.SubElement(noted, name)
    noted.set("value", BF16)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _strip_layer(layer: Element, outputs: set[str]) -> None:
    if layer.get("type") not in ENDS:
        layer.set("name", layer.get("id", ""))
    for made in layer.findall("rt_info"):
        layer.remove(made)
    for port in layer.iterfind("input/port"):
        port.attrib.pop("precision", None)
    for port in layer.iter("port"):
        for dimension in port.findall("dim"):
            port.remove(dimension)
        if layer.get("type") != "Parameter" and layer.get("id") not in outputs:
            port.attrib.pop("names", None)


def _merge_constants(root: Element) -> None:
    """Let every user of a constant's twin use the first of them."""
    first: dict[tuple[tuple[str, str], ...], str] = {}
    merged: dict[str, str] = {}
    layers = root.find("layers")
    for layer in [] if layers is None else list(layers):
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        number = layer.get("id", "")
        kept = first.setdefault(tuple(sorted(data.attrib.items())), number)
        if kept != number and layers is not None:
            merged[number] = kept
            layers.remove(layer)
    for edge in root.iterfind("edges/edge"):  # those inside of a loop's body count anew
        source = edge.get("from-layer", "")
        edge.set("from-layer", merged.get(source, source))
