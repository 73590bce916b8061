"""Bar charts as SVG: groups of horizontal bars, one colour for a subject, each bar with its number."""

COLOURS = {
    "Fieldhold": "#0b6e4f",
    "Fieldhold, default": "#58a087",
    "Fieldhold, LAN broker": "#0b6e4f",
    "ThingsBoard": "#c8553d",
    "ThingsBoard, tag by tag": "#e0a458",
    "Node-RED": "#7a4b94",
    "Mosquitto bridge": "#33658a",
    "known to be bad": "#8a8a8a",
}
WIDTH, LABEL, NUMBER = 760, 190, 110
BAR, GAP, HEAD = 16, 14, 34
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def bars(title, groups, show=str, full=None):
    """`groups`: [(name, [(subject, value or None)])]; from 0 to `full`, or each group to its greatest."""
    parts, y = [], HEAD
    for name, rows in groups:
        parts.append(text(0, y + 12, name, 'font-weight="600"'))
        y += 20
        most = full or max([value for _, value in rows if value] or [1])
        for subject, value in rows:
            parts.append(text(LABEL - 8, y + 12, subject, 'text-anchor="end"'))
            length = (WIDTH - LABEL - NUMBER) * (value or 0) / most
            if value:
                parts.append(f'<rect x="{LABEL}" y="{y + 1}" width="{max(1.0, length):.1f}" height="{BAR - 2}" fill="{COLOURS[subject]}"/>')
            parts.append(text(LABEL + length + 6, y + 12, "not measured" if value is None else show(value)))
            y += BAR
        y += GAP
    head = text(0, 16, title, 'font-weight="700" font-size="14"')
    box = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {WIDTH + 16} {y}" width="{WIDTH + 16}" height="{y}" {FONT} fill="#222">'
    return "\n".join([box, f'<rect x="-8" width="{WIDTH + 16}" height="{y}" fill="#fff"/>', head, *parts, "</svg>\n"])


def text(x, y, words, more=""):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y}" {more}>{words}</text>'.replace(" >", ">")
