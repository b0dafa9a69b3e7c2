import { words, type ScreenNode } from "../../test/host/raycast";
import { html, type Html } from "./html";
import { cssColor, field, image, type Look } from "./image";

/** The panel of labels, tags and links of a `Detail` or a `List.Item.Detail`. */
export function metadata(node: ScreenNode, look: Look): Html {
  return html`<div class="metadata">${node.children.map((row) => metadataRow(row, look))}</div>`;
}

function metadataRow(row: ScreenNode, look: Look): Html {
  if (row.type.endsWith(".Separator")) return html`<hr />`;
  return html`<div class="row">
    <label>${words(row.props.title)}</label>
    <span>${metadataValue(row, look)}</span>
  </div>`;
}

function metadataValue(row: ScreenNode, look: Look): Html {
  if (row.type.endsWith(".TagList")) {
    return html`${row.children.map((item) => tag(words(item.props.text), item.props.color, item.props.icon, look))}`;
  }
  if (row.type.endsWith(".Link")) return html`<a>${words(row.props.text)}</a>`;
  const color = cssColor(field(row.props.text, "color"), look);
  const text = words(row.props.text);
  return html`${image(row.props.icon, look)}${
    text !== "" && html`<span style="${color ? `color:${color}` : ""}">${text}</span>`
  }`;
}

/** A word on a ground of its own color. */
export function tag(
  text: string,
  color: ScreenNode["props"][string] | undefined,
  icon: ScreenNode["props"][string] | undefined,
  look: Look,
): Html {
  const css = cssColor(color, look) ?? "var(--secondary-text)";
  return html`<span class="tag" style="--tag:${css}">${image(icon, look)}${text}</span>`;
}
